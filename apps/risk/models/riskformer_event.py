"""riskformer for an event: some small networks, their mean log-odds calibrated.

Legend: N entities, V variables of the network, R = N V rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from apps.risk.data.columns import Columns
from apps.risk.data.panel import Panel
from apps.risk.data.windows import Batch
from apps.risk.models.event_network import EventNetwork
from apps.risk.models.event_parts import (
    Drivers,
    OfLatest,
    largest,
    past_of,
    read_tensors,
    unreadable,
    write_tensors,
)
from apps.risk.models.exported import EVENT, Networks, log_odds_of
from apps.risk.models.feed import Levels, rows_of
from apps.risk.models.sizes import Size
from apps.risk.models.soundness import require_sound
from apps.risk.models.transformer import Rows
from core.compute.threads import spread

CHUNK = 512  # clients that the network processes together


@dataclass(frozen=True, eq=False)
class RiskformerEvent(OfLatest):
    """Riskformers' mean log-odds, calibrated; drivers: the log-odds less those with a column unknown.

    members: networks of one size that learned from different clients. keep_V: which rows of `rows_of(latest=True)`
    they take. slope, intercept: of the calibration (Platt 1999). networks: exported ones that run in PyTorch's place,
    but of drivers, which PyTorch computes.
    """

    members: tuple[EventNetwork, ...]
    counts: tuple[int, ...]
    levels: Levels
    keep_V: tuple[bool, ...]
    slope: float
    intercept: float
    networks: Networks = field(default_factory=dict)

    name: ClassVar[str] = "riskformer"

    def with_networks(self, networks: Networks) -> RiskformerEvent:
        """Return the model with an exported network ("event") in place of PyTorch's."""
        return replace(self, networks=networks)

    def probability(self, batch: Batch, columns: Columns) -> np.ndarray:
        """Return the probability of each window, (N,)."""
        return np.asarray(expit(self.log_odds(batch, columns)))

    def drivers(self, panel: Panel) -> Drivers:
        """Return of each entity the columns that raise its log-odds, largest first."""
        columns = panel.columns
        origin = [name for name, keep in zip(variables_of(columns), self.keep_V, strict=True) if keep]
        names = tuple(dict.fromkeys(origin))
        if not names or not panel.entities:
            return tuple(() for _ in panel.entities)
        # the first set hides nothing
        hidden_KV = torch.tensor([[one == name for one in origin] for name in (None, *names)])
        log_odds_KN = self._log_odds(
            self.past.latest(panel), columns, lambda net, rows: net.logits_without(rows, hidden_KV)
        )
        return largest(names, (log_odds_KN[:1] - log_odds_KN[1:]).T)

    def log_odds(self, batch: Batch, columns: Columns) -> np.ndarray:
        """Return those of each window, calibrated, (N,)."""
        variables, exported = sum(self.keep_V), self.networks.get(EVENT)
        if exported is None:
            return self._log_odds(batch, columns, lambda net, rows: net.logits(rows, variables))
        return self._spread(batch, columns, lambda rows: log_odds_of(exported, rows, variables))

    def _log_odds(
        self, batch: Batch, columns: Columns, ask: Callable[[EventNetwork, Rows], Tensor]
    ) -> np.ndarray:
        """Return the calibrated mean over members of what each answers, (…, N)."""
        return self._spread(
            batch, columns, lambda rows: torch.stack([ask(net, rows) for net in self.members]).mean(dim=0)
        )

    def _spread(self, batch: Batch, columns: Columns, ask: Callable[[Rows], Tensor]) -> np.ndarray:
        """Return what is answered of some windows at a time, calibrated, (…, N)."""
        if not len(batch.origin_B):
            return np.zeros(0)

        def ask_some(first: int) -> np.ndarray:
            some = Batch(*(part[first : first + CHUNK] for part in batch))
            rows = kept_rows(some, columns, self.levels, self.keep_V)
            with torch.inference_mode():
                return np.asarray(ask(rows).double().numpy())

        parts = spread(ask_some, range(0, len(batch.origin_B), CHUNK))
        return self.slope * np.concatenate(parts, axis=-1) + self.intercept

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the networks; return their description."""
        tensors = {"levels.knot": self.levels.knot_2VK, "levels.score": self.levels.score_2VK}
        for number, net in enumerate(self.members):
            tensors |= {f"{number}.{name}": value for name, value in net.state_dict().items()}
        write_tensors(folder / "riskformer_event.safetensors", tensors)
        return {
            **asdict(self.past),
            "members": len(self.members),
            "size": asdict(self.members[0].size),
            "counts": list(self.counts),
            "keep": list(self.keep_V),
            "calibration": {"slope": self.slope, "intercept": self.intercept},
        }

    @classmethod
    def load(cls, folder: Path, described: Mapping[str, Any]) -> RiskformerEvent:
        """Read what `save` wrote; raises InputError weights_unreadable."""
        path = folder / "riskformer_event.safetensors"
        tensors, counts, members = read_tensors(path), tuple(described["counts"]), []
        for number in range(described["members"]):
            net = EventNetwork(Size(**described["size"]), counts).eval()
            first = f"{number}."
            state = {name.removeprefix(first): v for name, v in tensors.items() if name.startswith(first)}
            try:
                net.load_state_dict(state)
            except RuntimeError as error:
                raise unreadable(path) from error
            require_sound(net, str(path))
            members.append(net)
        return cls(
            past=past_of(described),
            members=tuple(members),
            counts=counts,
            levels=Levels(tensors["levels.knot"], tensors["levels.score"]),
            keep_V=tuple(described["keep"]),
            slope=described["calibration"]["slope"],
            intercept=described["calibration"]["intercept"],
        )


def variables_of(columns: Columns) -> tuple[str, ...]:
    """Return the column of each row of a window, as `rows_of(latest=True)` has them, V."""
    return (*columns.features, *columns.static_numbers, *columns.labels, *columns.observed)


def kept_rows(batch: Batch, columns: Columns, levels: Levels | None, keep_V: Sequence[bool]) -> Rows:
    """Return the rows of some windows that the network takes, window by window."""
    rows, _ = rows_of(batch, columns, levels=levels, latest=True)
    keep_R = torch.tensor(keep_V).repeat(len(batch.origin_B))
    return Rows(*(None if part is None else part[keep_R] for part in rows))  # type: ignore[arg-type]
