"""Hooks on chosen modules of a network: functions called before and after them, removed at the end of a block."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from core.compute.reasons import HOOKS

_SHOWN = 8


@dataclass(frozen=True)
class Call:
    """One call of a hooked module: its name in the network, itself, and what it was called with."""

    name: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


Select = Callable[[str, nn.Module], bool]
Pre = Callable[[Call], tuple[tuple[Any, ...], dict[str, Any]] | None]
Post = Callable[[Call, Any], Any]


@contextlib.contextmanager
def hooked(
    network: nn.Module, select: Select, *, pre: Pre | None = None, post: Post | None = None
) -> Iterator[tuple[str, ...]]:
    """Call `pre` before and `post` after each selected module, inside the `with` block only; give their names.

    select: takes a module's name ("" is the network itself) and the module; True hooks it. pre: may return other
    (args, kwargs). post: may return another output; None leaves things as they are. Blocks nest: of two on one module
    the outer one's functions come first. Whatever happens inside the block, every hook is removed at its end.

    Danger: hooks sit on the module, which threads share. Calls from another thread than the one that entered the block
    pass the functions by, but no other thread may be inside the network at the moment of entering and leaving. A
    module is hooked in `module(x)`, not in `module.forward(x)`, and not where torch.compile has fused it away.

    Raises InternalFault where nothing is selected: a name has changed, and silence would look like a result.
    """
    owner = threading.get_ident()
    chosen = [(name, module) for name, module in network.named_modules() if select(name, module)]
    if not chosen:
        raise HOOKS("hooks_nothing", network=_described(network))
    with contextlib.ExitStack() as stack:
        for name, module in chosen:
            if pre is not None:
                handle = module.register_forward_pre_hook(_before(name, pre, owner), with_kwargs=True)
                stack.callback(handle.remove)
            if post is not None:
                handle = module.register_forward_hook(_after(name, post, owner), with_kwargs=True)
                stack.callback(handle.remove)
        yield tuple(name for name, _ in chosen)


def _before(name: str, pre: Pre, owner: int) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return pre(Call(name, module, args, kwargs)) if threading.get_ident() == owner else None

    return hook


def _after(name: str, post: Post, owner: int) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        return post(Call(name, module, args, kwargs), output) if threading.get_ident() == owner else None

    return hook


def _described(network: nn.Module) -> str:
    names = [name for name, _ in network.named_modules() if name]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    inside = f", which holds {', '.join(names[:_SHOWN])}{more}," if names else ", which holds none,"
    return f"{type(network).__name__}{inside}"
