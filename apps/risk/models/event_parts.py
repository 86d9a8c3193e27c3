"""What the models of an event share: how much of a client they see, why one stands out, files of tensors.

Legend: N entities, V columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from apps.risk.data.columns import Columns
from apps.risk.data.panel import UNSEEN, Panel, fill_gaps, on_table_times
from apps.risk.data.windows import Batch, Windows
from apps.risk.models.forecast import EventForecast, Reason
from apps.risk.models.scorecard import REASONS
from apps.risk.reasons import INPUTS
from core.errors import InputError
from core.runs.files import write_bytes

Drivers = tuple[tuple[Reason, ...], ...]


@dataclass(frozen=True)
class Past:
    """How much of a client a model sees, and how far ahead it asks: context and horizon in times of the calendar."""

    context: int
    horizon: int

    def latest(self, panel: Panel) -> Batch:
        """Return the window of each entity that ends at the as-of date."""
        return Windows(fill_gaps(on_table_times(panel)), self.context, self.horizon).latest()


@dataclass(frozen=True, eq=False)
class OfLatest(ABC):
    """A model of an event that is asked of each entity's latest window."""

    past: Past

    @abstractmethod
    def probability(self, batch: Batch, columns: Columns) -> np.ndarray:
        """Return the probability of each window, (N,)."""

    def forecast_event(self, panel: Panel) -> EventForecast:
        """Return the probability of each entity; reason all_missing where it is that of an unknown one."""
        batch = self.past.latest(panel)
        return EventForecast(self.probability(batch, panel.columns), blank(batch))


def past_of(described: Mapping[str, Any]) -> Past:
    """Return the Past of a model's description."""
    return Past(int(described["context"]), int(described["horizon"]))


def blank(batch: Batch) -> tuple[str, ...]:
    """Return of each window '' or all_missing, where no value of it and of its entity is known."""
    known_B = (
        batch.past_known_BCF.flatten(1).any(dim=1)
        | batch.ahead_known_BHK.flatten(1).any(dim=1)
        | ~torch.isnan(batch.number_BM).all(dim=1)
        | (batch.code_BS != UNSEEN).any(dim=1)
    )
    return tuple("" if known else "all_missing" for known in known_B.tolist())


def largest(names: Sequence[str], above_NV: np.ndarray, most: int = REASONS) -> Drivers:
    """Return for each client what raises its log-odds, largest first, `most` at most; equal ones in order of names."""
    order_NV = np.argsort(-above_NV, axis=1, kind="stable")[:, :most]
    return tuple(
        tuple(Reason(names[v], float(above_V[v])) for v in order_V if above_V[v] > 0.0)
        for order_V, above_V in zip(order_NV, above_NV, strict=True)
    )


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, whole or not at all."""
    write_bytes(path, save({name: value.contiguous() for name, value in tensors.items()}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises InputError weights_unreadable."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise unreadable(path) from error


def unreadable(path: Path) -> InputError:
    """Return what to raise where a file of a model is missing or damaged."""
    return INPUTS("weights_damaged", path=path)
