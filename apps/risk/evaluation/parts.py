"""What an evaluation found: figures by model, of development and of the test."""

from __future__ import annotations

from typing import Any, NamedTuple

Figures = dict[str, dict[str, Any]]  # model → figure → value


class Parts(NamedTuple):
    """What was found on development dates, and on the test, which is looked at once."""

    development: Figures
    test: Figures
