"""The public names of a package, imported when they are first used (PEP 562), so that importing the package is quick.

A package's `__init__.py` names them twice, and a test holds the two lists equal:

    if TYPE_CHECKING:  # what mypy and editors see
        from package.module import Name as Name
    else:
        __getattr__, __dir__, __all__ = lazy_names(__name__, {"Name": "package.module"})
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return the `__getattr__`, `__dir__` and `__all__` of a package.

    package: its `__name__`. names: public name → module that defines it. A name must differ from the package's own
    modules: importing `package.name` binds the module to that name and would hide the public object.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package]
            )
        value = getattr(import_module(names[name]), name)
        # The next use finds it without this function.
        vars(sys.modules[package])[name] = value
        return value

    def listing() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return load, listing, sorted(names)
