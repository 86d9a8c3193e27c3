"""Networks of an event answer alike after saving, by slices, whatever the chunk; a hidden column tells nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from apps.risk.data.panel import part
from apps.risk.models import riskformer_event
from apps.risk.models.event_network import without
from apps.risk.models.riskformer_event import RiskformerEvent, kept_rows, variables_of
from core.errors import InputError
from tests.apps.risk.data.panels import COLUMNS
from tests.apps.risk.models.events import described_again, known, untrained


def test_saved_and_loaded_it_answers_the_same(tmp_path: Path) -> None:
    model = untrained()
    again = described_again(model, tmp_path)
    panel = known()
    one, other = model.forecast_event(panel), again.forecast_event(panel)
    assert np.array_equal(one.pd_N, other.pd_N)
    assert np.ptp(one.pd_N) > 0.005
    assert model.drivers(panel) == again.drivers(panel)


def test_slices_and_chunks_answer_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model, panel = untrained(), known()
    whole_N = model.forecast_event(panel).pd_N
    parts = [part(panel, first, first + 7) for first in range(0, 35, 7)]
    assert np.allclose(
        np.concatenate([model.forecast_event(one).pd_N for one in parts]), whole_N[:35], atol=1e-6
    )
    monkeypatch.setattr(riskformer_event, "CHUNK", 9)
    assert np.allclose(model.forecast_event(panel).pd_N, whole_N, atol=1e-6)
    assert model.forecast_event(part(panel, 0, 0)).pd_N.shape == (0,)


def test_the_probability_is_the_calibrated_mean_of_log_odds() -> None:
    model, panel = untrained(), known()
    batch = model.past.latest(panel)
    rows = kept_rows(batch, panel.columns, model.levels, model.keep_V)
    with torch.inference_mode():
        mean_N = sum(net.logits(rows, sum(model.keep_V)).numpy() for net in model.members) / 2.0
    assert np.allclose(model.forecast_event(panel).pd_N, expit(0.9 * mean_N - 1.5), atol=1e-6)


def test_a_driver_is_what_its_column_adds() -> None:
    model, panel = untrained(), known()
    rows = kept_rows(model.past.latest(panel), panel.columns, model.levels, model.keep_V)
    names = [name for name, keep in zip(variables_of(panel.columns), model.keep_V, strict=True) if keep]
    assert names.count("days_late") == 2  # the column, and its latest value
    whole_N = logit(model.forecast_event(panel).pd_N)
    added = {}
    for column in dict.fromkeys(names):
        hidden_R = torch.tensor([name == column for name in names]).repeat(len(panel.entities))
        with torch.inference_mode():
            logits = [net.logits(without(rows, hidden_R), len(names)).numpy() for net in model.members]
        added[column] = whole_N - (0.9 * np.mean(logits, axis=0) - 1.5)
    metadata = model.drivers(panel)
    assert sum(map(len, metadata)) > 50
    for number, reasons in enumerate(metadata):
        assert [one.log_odds for one in reasons] == sorted((one.log_odds for one in reasons), reverse=True)
        for one in reasons:
            assert one.log_odds == pytest.approx(added[one.feature][number], abs=1e-5)
            assert one.log_odds > 0.0
    assert model.drivers(part(panel, 0, 0)) == ()


def test_variables_have_their_columns_names() -> None:
    assert variables_of(COLUMNS) == ("target", "seen", "due", "age", "target", "seen")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    described = untrained().save(tmp_path)
    described["size"] = {**described["size"], "hidden": 24}
    with pytest.raises(InputError, match=r"riskformer_event\.safetensors is missing, damaged"):
        RiskformerEvent.load(tmp_path, described)
