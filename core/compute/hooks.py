"""Hooks on chosen modules of a network: a function called after each of them, removed at the end of a block."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from core.compute.reasons import HOOKS

_SHOWN = 8


@dataclass(frozen=True)
class Call:
    """One call of a hooked module: its name in the network, and itself."""

    name: str
    module: nn.Module


Select = Callable[[str, nn.Module], bool]
Post = Callable[[Call, Any], Any]


@contextlib.contextmanager
def hooked(network: nn.Module, select: Select, post: Post) -> Iterator[None]:
    """Call `post` after each selected module, inside the `with` block only.

    select: takes a module's name ("" is the network itself) and the module; True hooks it. post: takes the call and
    its output, and may return another output; None leaves it as it is. Blocks nest: of two on one module the outer
    one's function comes first. Whatever happens inside the block, every hook is removed at its end.

    Danger: hooks sit on the module, which threads share. Calls from another thread than the one that entered the block
    pass the function by, but no other thread may be inside the network at the moment of entering and leaving. A
    module is hooked in `module(x)`, not in `module.forward(x)`, and not where torch.compile has fused it away.

    Raises InternalFault where nothing is selected: a name has changed, and silence would pass for a result.
    """
    owner = threading.get_ident()
    chosen = [(name, module) for name, module in network.named_modules() if select(name, module)]
    if not chosen:
        raise HOOKS("hooks_nothing", network=_described(network))
    with contextlib.ExitStack() as stack:
        for name, module in chosen:
            stack.callback(module.register_forward_hook(_after(name, post, owner)).remove)
        yield


def _after(name: str, post: Post, owner: int) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:  # noqa: ARG001
        return post(Call(name, module), output) if threading.get_ident() == owner else None

    return hook


def _described(network: nn.Module) -> str:
    names = [name for name, _ in network.named_modules() if name]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    inside = f", which holds {', '.join(names[:_SHOWN])}{more}," if names else ", which holds none,"
    return f"{type(network).__name__}{inside}"
