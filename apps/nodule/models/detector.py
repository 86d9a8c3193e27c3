"""What every detector offers."""

from __future__ import annotations

from typing import Protocol

import torch

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate
from core.errors import ConfigError


class Detector(Protocol):
    """Finds nodules in a volume.

    name, version: written into every result. threshold: probability from which a candidate is a finding.
    """

    name: str
    version: str
    threshold: float

    def detect(self, volume: Volume) -> list[Candidate]:
        """Return candidates by falling probability."""
        ...


def choose_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is a GPU where there is one. Raises ConfigError for a GPU that is not."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no_gpu", "model.device is cuda, but no GPU is available here; use auto or cpu")
    return torch.device(name)
