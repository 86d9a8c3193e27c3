"""Which detector made the results: the part of it that every report names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelInfo:
    """The detector of a run.

    name, version: as on the model card. threshold: working point, 0..1; candidates at or above it are findings.
    """

    name: str
    version: str
    threshold: float
