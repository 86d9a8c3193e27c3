"""Figures of an evaluation by model, of development and of the test."""

from __future__ import annotations

from typing import Any, NamedTuple

Figures = dict[str, dict[str, Any]]  # model → figure → value


class Parts(NamedTuple):
    """Figures on development dates, and on the test, which is used once."""

    development: Figures
    test: Figures
