"""A few steps of training make the loss fall, on the CPU, in seconds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import torch

from apps.risk.data.columns import Columns
from apps.risk.data.mixture import Material, Mixture
from apps.risk.models.feed import code_counts, learn_levels
from apps.risk.models.learning import Forecasting, WindowSampleSource, begin
from apps.risk.models.riskformer_covariates import RiskformerCovariates
from apps.risk.models.sizes import Size
from apps.risk.models.transformer import Kind, RiskFormer, target_rows
from core.training.config import TrainerConfig
from tests.apps.risk.models import networks
from tests.apps.risk.models.covariates import AS_OF, CONTEXT, HORIZON, whole, windows
from tests.apps.risk.models.driven import COLUMNS

SIZE = Size(width=16, layers=2, heads=2, kv_heads=1, hidden=24, patch=8, group_every=2)


def test_a_lesson_is_learned() -> None:
    torch.manual_seed(0)
    source = Mixture(Material(np.random.default_rng(0).normal(size=(4, 200))), {"simulated": 1.0}, 32, 8, 8)
    module = Forecasting(RiskFormer(SIZE), TrainerConfig(max_steps=40, learning_rate=5e-3, warmup_steps=1))
    optimizer = module.configure_optimizers()["optimizer"]
    losses = []
    for step in range(40):
        loss = module.training_step(
            source.samples(0, 0, 32), step
        )  # one sample again and again: it is learned
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.net.quantile_head.parameters())


def columns_of_all() -> Columns:
    return replace(COLUMNS, targets=("target", "seen"), observed=("noise",))


def source_of(hidden: float = 0.0, cut: float = 0.0) -> WindowSampleSource:
    made = windows(whole(columns_of_all()))
    return WindowSampleSource(made, learn_levels(made), hidden, cut)


def test_before_the_first_step_a_series_alone_is_forecast_as_by_the_weights_begun_with() -> None:
    series = networks.untrained(CONTEXT)
    panel = whole(Columns(targets=("seen",)))
    net = begin(series.net, code_counts(panel)).eval()
    assert len(net.statics) == 1
    model = RiskformerCovariates(
        net, CONTEXT, HORIZON, panel.columns, panel.categories, learn_levels(windows(panel))
    )
    result, wanted = (one.forecast(panel, "seen", 3, 80, 0) for one in (model, series))
    np.testing.assert_allclose(result.path_SNH, wanted.path_SNH, rtol=1e-12, atol=1e-12)
    with_statics = begin(series.net, (3, 6))
    assert all(not weight.any() for weight in with_statics.statics.parameters())


def test_a_lesson_of_windows_forecasts_the_rows_of_targets_alone() -> None:
    source = source_of()
    batch = source.windows.gather(torch.tensor([20, 160]))
    sample = source.samples(0, batch)
    assert sample.variables == 5  # two targets, noise, due.sum, age
    assert sample.position_L.tolist() == [0, 1, 5, 6]
    assert set(sample.rows.kind_B[sample.position_L].tolist()) == {int(Kind.TARGET)}
    value_RF = source.windows.value_RF
    np.testing.assert_array_equal(sample.label_LH[0], value_RF[20:23, 0])
    np.testing.assert_array_equal(sample.label_LH[3], value_RF[160:163, 1])
    assert sample.counts_LH.all()
    assert sample.rows.known_BH.sum().item() == 2 * HORIZON  # of due.sum
    unknown = batch._replace(past_known_BCF=batch.past_known_BCF & (torch.arange(4) > 0))
    assert source.samples(0, unknown).counts_LH.any(dim=1).tolist() == [False, True] * 2


def test_lessons_hide_covariates_and_what_is_ahead_but_no_target() -> None:
    source = source_of(hidden=0.5, cut=1.0)
    stream = iter(source.stream(3, 64, 0, 0, 1))
    sample = next(stream)
    known_BV = sample.rows.known_BC.any(dim=1).view(64, 5)
    assert known_BV[:, :2].all()
    assert all(15 < count < 49 for count in known_BV[:, 2:].sum(dim=0).tolist())
    ahead_B = sample.rows.known_BH.view(64, 5, HORIZON)[:, 3].sum(dim=1)
    assert set(ahead_B.tolist()) == set(range(HORIZON + 1))
    assert set(sample.rows.code_BS[:, 0].tolist()) == {0, 1, 2}
    resumed = next(iter(source.stream(3, 64, 1, 0, 1)))
    for one, other in zip(next(stream).rows, resumed.rows, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(resumed.label_LH, sample.label_LH)


def test_what_lies_behind_the_as_of_date_is_no_training_sample() -> None:
    panel = whole(COLUMNS, AS_OF)
    spoiled = panel.value_RF.copy()
    spoiled[~panel.past_R, :3] = np.inf  # target, seen, noise
    assert np.isinf(spoiled).any()
    made = windows(replace(panel, value_RF=spoiled))
    source = WindowSampleSource(made, learn_levels(made))
    for sample in itertools.islice(source.stream(0, 64, 0, 0, 1), 10):
        assert sample.label_LH.isfinite().all()
        assert sample.rows.past_BC.isfinite().all()


def test_each_weight_that_is_trained_has_a_gradient() -> None:
    """Without one, processes that train together fail in their second step."""
    series = Mixture(Material(np.random.default_rng(0).normal(size=(4, 200))), {"simulated": 1.0}, 32, 8, 8)
    source = source_of()
    given = {
        (): series.samples(0, 0, 16),
        code_counts(source.windows.panel): next(iter(source.stream(0, 8, 0, 0, 1))),
    }
    for categories, sample in given.items():
        module = Forecasting(RiskFormer(SIZE, categories), TrainerConfig())
        module.training_step(sample, 0).backward()
        trained = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        assert [name for name, weight in trained.items() if weight.grad is None] == []
        assert len(trained) == len(list(module.parameters())) - 2  # the event's head


def test_rows_of_targets_know_nothing_ahead() -> None:
    rows = target_rows(torch.ones(3, 16), torch.ones(3, 16, dtype=torch.bool), 5, None)
    assert rows.ahead_BH.shape == (3, 5)
    assert not rows.known_BH.any()
    assert set(rows.kind_B.tolist()) == {int(Kind.TARGET)}
