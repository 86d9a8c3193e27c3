"""riskformer of the table of `driven`, for tests: with random weights, and trained for some seconds."""

from __future__ import annotations

import functools
from dataclasses import replace

import torch

from apps.risk.data.columns import Columns
from apps.risk.data.panel import Panel, fill_gaps
from apps.risk.data.windows import Windows
from apps.risk.models.feed import code_counts, learn_levels
from apps.risk.models.learning import Forecasting, WindowSampleSource, begin
from apps.risk.models.riskformer import SHORTEST
from apps.risk.models.riskformer_covariates import RiskformerCovariates
from apps.risk.models.transformer import RiskFormer
from core.training.config import TrainerConfig
from tests.apps.risk.data.panels import panel_of
from tests.apps.risk.models.driven import COLUMNS, driven
from tests.apps.risk.models.networks import SMALL

CONTEXT, HORIZON, ENTITIES, DAYS = 24, 3, 12, 150
AS_OF = "2024-05-14"  # day 135 of 150: what comes then is not learned from
STEPS = 200


@functools.cache
def whole(columns: Columns = COLUMNS, as_of: str | None = None) -> Panel:
    return panel_of(driven(ENTITIES, DAYS), columns, as_of)


def windows(panel: Panel) -> Windows:
    return Windows(fill_gaps(panel), CONTEXT, HORIZON, shortest=SHORTEST)


def untrained(panel: Panel, seed: int = 0) -> RiskformerCovariates:
    """Return a model with random weights, so that all that it is given counts."""
    torch.manual_seed(seed)
    net = RiskFormer(SMALL, code_counts(panel)).eval()
    return RiskformerCovariates(
        net, CONTEXT, HORIZON, panel.columns, panel.categories, learn_levels(windows(panel))
    )


@functools.cache
def trained(columns: Columns = COLUMNS) -> RiskformerCovariates:
    """Return a model that learned from what was known at AS_OF; its weights are the same each time."""
    panel = whole(columns, AS_OF)
    start = untrained(panel)
    torch.manual_seed(0)
    net = begin(RiskFormer(SMALL), code_counts(panel))
    module = Forecasting(net, TrainerConfig(max_steps=STEPS, learning_rate=1e-2, warmup_steps=20))
    made = module.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    samples = iter(WindowSampleSource(windows(panel), start.levels).stream(0, 32, 0, 0, 1))
    for step in range(STEPS):
        optimizer.zero_grad()
        module.training_step(next(samples), step).backward()
        optimizer.step()
        schedule.step()
    return replace(start, net=net.eval())
