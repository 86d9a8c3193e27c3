"""How riskformer learns an event: some small networks, each from other clients, calibrated on those it did not see.

Legend: N origins, B windows of a batch, V variables of a window, R = B V rows, M members.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.utils.data import IterableDataset

from apps.risk.data.outcomes import Origins
from apps.risk.data.windows import Batch, Windows
from apps.risk.models.event_network import EventNetwork, without
from apps.risk.models.event_parts import Past
from apps.risk.models.feed import Levels, code_counts, levels_of
from apps.risk.models.losses import event_loss
from apps.risk.models.riskformer_event import RiskformerEvent, kept_rows
from apps.risk.models.sizes import Size
from apps.risk.models.sound_training import fit_soundly
from apps.risk.models.transformer import RiskFormer, Rows
from core.data.seeds import seed_of
from core.data.stream import steps_of_worker
from core.runs.log import RunLog
from core.runs.training import Checkpoints
from core.training.config import TrainerConfig
from core.training.optimizer import optimizer_and_schedule

# clients are tens of thousands with some months each: small networks, and their mean, learn more from them than one
SIZE = Size(width=48, layers=2, heads=4, kv_heads=2, hidden=96, patch=8, group_every=2)
MEMBERS = 3
HIDDEN = (
    0.1  # share of variables hidden in training, so that no single one is leant on, and one may be missing
)
AVERAGED = 10  # the moving average of the weights reaches back over a tenth of the steps at most
LEVELS_FROM = 20_000  # windows


class EventSamples(NamedTuple):
    """Rows of some clients, and whether the event came, 0 or 1, (B,) float32."""

    rows: Rows
    event_B: Tensor


class EventBatches:
    """Batches of clients, each client once before any comes again; parts of them hidden. A core BatchSource."""

    def __init__(
        self,
        windows: Windows,
        origins: Origins,
        levels: Levels,
        keep_V: tuple[bool, ...],
        hidden: float = HIDDEN,
    ) -> None:
        self.windows, self.origins, self.levels, self.keep_V, self.hidden = (
            windows,
            origins,
            levels,
            keep_V,
            hidden,
        )

    def stream(
        self, seed: int, batch_size: int, first_step: int, rank: int, world: int
    ) -> IterableDataset[Any]:
        """Return the batches of one rank from a step on; that of step k depends on seed and k alone."""
        return _EventStream(self, seed, batch_size, first_step, rank, world)

    def samples(self, seed: int, number_B: np.ndarray, batch: int) -> EventSamples:
        """Return the training samples of some origins; batch: its number among all batches."""
        rows = kept_rows(
            gather(self.windows, self.origins.where(number_B)),
            self.windows.panel.columns,
            self.levels,
            self.keep_V,
        )
        draw = np.random.default_rng([seed, 1, batch])
        hidden_R = torch.from_numpy(draw.random(len(rows.past_BC)) < self.hidden)
        event_B = torch.from_numpy(self.origins.event_B[number_B].astype(np.float32))
        return EventSamples(without(rows, hidden_R), event_B)


class _EventStream(IterableDataset[Any]):
    def __init__(
        self, source: EventBatches, seed: int, batch_size: int, first_step: int, rank: int, world: int
    ) -> None:
        super().__init__()
        self.source, self.seed, self.batch_size = source, seed, batch_size
        self.first_step, self.rank, self.world = first_step, rank, world

    def __iter__(self) -> Iterator[EventSamples]:
        deck = Deck(len(self.source.origins), self.seed)
        for step in steps_of_worker(self.first_step):
            batch = step * self.world + self.rank
            yield self.source.samples(self.seed, deck.draw(batch * self.batch_size, self.batch_size), batch)


class Deck:
    """Numbers 0 … count - 1 in random order, all of them before any comes again, in another order each time."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._round, self._order = -1, np.zeros(0, dtype=np.int64)

    def draw(self, first: int, size: int) -> np.ndarray:
        """Return draws number first … first + size - 1, (size,) int64; they depend on seed and number alone."""
        parts = []
        while size > 0:
            turn, offset = divmod(first, self.count)
            if turn != self._round:
                self._round = turn
                self._order = np.random.default_rng([self.seed, 0, turn]).permutation(self.count)
            parts.append(self._order[offset : offset + size])
            first, size = first + len(parts[-1]), size - len(parts[-1])
        return np.concatenate(parts)


class EventTraining(pl.LightningModule):
    """Training of the event's log-odds."""

    def __init__(self, net: EventNetwork, trainer: TrainerConfig, variables: int) -> None:
        super().__init__()
        self.net, self.config, self.variables = net, trainer, variables
        # they take no part, and several processes would wait for their gradients
        net.quantile_head.requires_grad_(requires_grad=False)

    def training_step(self, batch: EventSamples, batch_idx: int) -> Tensor:  # noqa: ARG002, D102
        logit_B = self.net.logits(batch.rows, self.variables)
        return event_loss(logit_B, batch.event_B, torch.ones_like(batch.event_B, dtype=torch.bool))

    def configure_optimizers(self) -> Any:  # noqa: D102
        return optimizer_and_schedule(self.parameters(), self.config)


def fit_riskformer_event(
    windows: Windows,
    origins: Origins,
    trainer: TrainerConfig,
    folder: Checkpoints,
    log: RunLog,
    seed: int,
    start: RiskFormer | None = None,
) -> RiskformerEvent:
    """Train M members, each without a part of the entities, and calibrate them on the part that each did not see.

    trainer: of all members together; each takes its share of the steps. start: a trained network to begin from;
    what depends on the table (categories, the event's head) begins anew. folder: checkpoints; a training that was
    cut off resumes from there.
    """
    columns, panel = windows.panel.columns, windows.panel
    some = np.unique(np.linspace(0, len(origins) - 1, min(LEVELS_FROM, len(origins))).astype(np.int64))
    batch = gather(windows, origins.where(some))
    levels = levels_of(batch, columns, latest=True)
    keep_V = _telling(batch, windows)
    counts = code_counts(panel, latest=True)
    part_N = _parts(origins.entity_B, seed)
    members, logit_N = [], np.zeros(len(origins))
    for number in range(MEMBERS):
        torch.manual_seed(seed_of(seed, number))
        net = begin(counts, start)
        seen = origins.where(part_N != number)
        share = share_of(trainer, MEMBERS)
        module = EventTraining(net, share, sum(keep_V))
        source = EventBatches(windows, seen, levels, keep_V)
        fit_soundly(module, source, share, folder / f"member-{number}", log, seed_of(seed, number))
        net.eval()
        plain = RiskformerEvent(
            Past(windows.context, windows.horizon), (net,), counts, levels, keep_V, 1.0, 0.0
        )
        other_N = part_N == number
        logit_N[other_N] = plain.log_odds(gather(windows, origins.where(other_N)), columns)
        members.append(net)
    # no penalty to speak of: two numbers are learned from thousands
    line = LogisticRegression(C=1e6).fit(logit_N[:, None], origins.event_B)
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    return RiskformerEvent(
        Past(windows.context, windows.horizon), tuple(members), counts, levels, keep_V, slope, intercept
    )


def begin(counts: tuple[int, ...], start: RiskFormer | None) -> EventNetwork:
    """Return a network to train: a new one, or one with all weights of `start` that do not depend on the table."""
    net = EventNetwork(SIZE if start is None else start.size, counts)
    if start is not None:
        own = net.state_dict()
        kept = {
            name: value
            for name, value in start.state_dict().items()
            if not name.startswith(("statics.", "event_head.")) and own[name].shape == value.shape
        }
        net.load_state_dict(kept, strict=False)
    return net


def share_of(trainer: TrainerConfig, parts: int) -> TrainerConfig:
    """Return the trainer of one of several equal parts; the moving average reaches back over a tenth of it at most."""
    steps = max(trainer.max_steps // parts, 1)
    changed: dict[str, Any] = {
        "max_steps": steps,
        "max_minutes": trainer.max_minutes / parts if trainer.max_minutes else None,
        "warmup_steps": min(trainer.warmup_steps, steps // 10),
        "ema_decay": min(trainer.ema_decay, max(1.0 - AVERAGED / steps, 0.0)),
    }
    return replace(trainer, **changed)


def gather(windows: Windows, origins: Origins) -> Batch:
    """Return the window that looks ahead from each origin."""
    return windows.gather(torch.from_numpy(origins.origin_B), torch.from_numpy(origins.entity_B))


def _telling(batch: Batch, windows: Windows) -> tuple[bool, ...]:
    """Return which variables are known and not always the same, V."""
    columns = windows.panel.columns
    variables = (
        len(columns.features) + len(columns.static_numbers) + len(columns.labels) + len(columns.observed)
    )
    rows = kept_rows(batch, columns, None, [True] * variables)
    shape = (len(batch.origin_B), variables, -1)
    known = torch.cat([rows.known_BC.view(shape), rows.known_BH.view(shape)], dim=2)
    value = torch.cat([rows.past_BC.view(shape), rows.ahead_BH.view(shape)], dim=2)
    low = value.masked_fill(~known, torch.inf).amin(dim=(0, 2))
    high = value.masked_fill(~known, -torch.inf).amax(dim=(0, 2))
    return tuple((low < high).tolist())


def _parts(entity_N: np.ndarray, seed: int) -> np.ndarray:
    """Return of each origin the member that does not learn from it: entities are dealt out evenly, (N,) int64."""
    entity, index_N = np.unique(entity_N, return_inverse=True)
    dealt = np.random.default_rng([seed, 2]).permutation(len(entity)) % MEMBERS
    return np.asarray(dealt[index_N])
