"""How riskformer learns to forecast: the Lightning module, and training samples from a table of several columns.

Legend: B windows (or rows of a batch of series), C steps of the past, H steps ahead, K futures, V rows of a window,
T targets, L = B T rows that are forecast, S statics.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from apps.risk.data.mixture import TrainingSamples
from apps.risk.data.panel import UNSEEN
from apps.risk.data.windows import Batch, Windows, WindowStream
from apps.risk.models.event_network import without
from apps.risk.models.feed import Levels, rows_of
from apps.risk.models.losses import quantile_loss
from apps.risk.models.riskformer import SHORTEST
from apps.risk.models.scaling import Scale, scaled
from apps.risk.models.transformer import Kind, RiskFormer, Rows, target_rows
from core.training.config import TrainerConfig
from core.training.optimizer import optimizer_and_schedule

HIDDEN = 0.1  # share of covariates hidden in training, so that one may be missing, and of statics left unseen
CUT = 0.2  # share of windows of which less than the whole horizon is known in advance


class WindowSamples(NamedTuple):
    """Rows of some windows, V of each; rows to forecast, position_L; outcomes, label_LH, where counts_LH is True."""

    rows: Rows
    variables: int
    position_L: Tensor
    label_LH: Tensor
    counts_LH: Tensor


class Forecasting(pl.LightningModule):
    """Training of the quantiles on series whose futures are known."""

    def __init__(self, net: RiskFormer, trainer: TrainerConfig) -> None:
        super().__init__()
        self.net, self.config = net, trainer
        # it takes no part, and several processes would wait for its gradient
        net.event_head.requires_grad_(requires_grad=False)
        self.level_Q: Tensor
        self.register_buffer("level_Q", torch.tensor(net.levels), persistent=False)

    def training_step(self, batch: TrainingSamples | WindowSamples, batch_idx: int) -> Tensor:  # noqa: ARG002, D102
        if isinstance(batch, WindowSamples):
            forecast = self.net(batch.rows, batch.variables)
            z_BHQ, scale = (
                forecast.z_BHQ[batch.position_L],
                Scale(*(part[batch.position_L] for part in forecast.scale)),
            )
            label_BKH, counts_BKH = batch.label_LH[:, None], batch.counts_LH[:, None]
        else:
            label_BKH, counts_BKH = batch.label_BKH, batch.counts_BKH
            rows = target_rows(batch.past_BC, batch.known_BC, label_BKH.shape[-1], batch.group_B)
            z_BHQ, scale, _ = self.net(rows)
        B, K, H = label_BKH.shape
        z_BKH = scaled(label_BKH.reshape(B, K * H), scale).view(B, K, H).float()
        return quantile_loss(z_BHQ.float(), z_BKH, counts_BKH, self.level_Q)

    def configure_optimizers(self) -> Any:  # noqa: D102
        return optimizer_and_schedule(self.parameters(), self.config)


class WindowSampleSource:
    """Training samples from windows of one's own table, evenly over entities and time; a core BatchSource.

    windows: of a panel with one target or more; their labels lie before the as-of date.
    """

    def __init__(self, windows: Windows, levels: Levels, hidden: float = HIDDEN, cut: float = CUT) -> None:
        self.windows, self.levels, self.hidden, self.cut = windows, levels, hidden, cut

    def stream(
        self, seed: int, batch_size: int, first_step: int, rank: int, world: int
    ) -> IterableDataset[Any]:
        """Return the endless stream of one rank; batch_size: windows."""
        return WindowStream(
            self.windows,
            batch_size,
            seed,
            convert=partial(self.samples, seed),
            first_step=first_step,
            rank=rank,
            world=world,
        )

    def samples(self, seed: int, batch: Batch) -> WindowSamples:
        """Return the training samples of some windows; what is hidden depends on the seed and the windows alone."""
        columns = self.windows.panel.columns
        draw = np.random.default_rng([seed, 1, *batch.origin_B.tolist()])
        B, H, _ = batch.ahead_BHK.shape
        unseen_BS = torch.from_numpy(draw.random(tuple(batch.code_BS.shape)) < self.hidden)
        until_B = np.where(draw.random(B) < self.cut, draw.integers(0, H + 1, size=B), H)
        visible_BH = torch.from_numpy(np.arange(H) < until_B[:, None])
        batch = batch._replace(
            code_BS=batch.code_BS.masked_fill(unseen_BS, UNSEEN),
            ahead_known_BHK=batch.ahead_known_BHK & visible_BH[..., None],
        )
        rows, position_BT = rows_of(batch, columns, levels=self.levels)
        hidden_R = torch.from_numpy(draw.random(len(rows.kind_B)) < self.hidden)
        T = len(columns.targets)
        known_BT = batch.past_known_BCF[:, :, :T].sum(dim=1) >= SHORTEST
        counts_BHT = batch.label_known_BHT[:, :, :T] & known_BT[:, None]
        return WindowSamples(
            without(rows, hidden_R & (rows.kind_B != Kind.TARGET)),
            len(rows.kind_B) // B,
            position_BT[:, :T].reshape(-1),
            batch.label_BHT[:, :, :T].transpose(1, 2).reshape(B * T, H),
            counts_BHT.transpose(1, 2).reshape(B * T, H),
        )


def begin(start: RiskFormer, categories: tuple[int, ...]) -> RiskFormer:
    """Return a network with the weights of `start` for a table with these categories (apps.risk.models.feed).

    What no training of series alone learns is 0 at first (statics, variables, levels): a series alone is forecast as
    `start` does it.
    """
    net = RiskFormer(start.size, categories)
    kept = {name: v for name, v in start.state_dict().items() if not name.startswith("statics.")}
    net.load_state_dict(kept, strict=False)
    with torch.no_grad():
        net.level.weight.zero_()
        for embedding in net.statics.parameters():
            embedding.zero_()
    return net
