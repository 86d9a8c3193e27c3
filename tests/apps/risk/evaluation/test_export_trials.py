"""What an export is judged on: the losses of a table's last dates, and calibration on dates before them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from apps.risk.data.load import load_panel
from apps.risk.evaluation.export_samples import recorded
from apps.risk.evaluation.export_trials import DATES, HORIZON, covariates_trial, event_trial, series_trial
from apps.risk.export import covariates_networks, event_networks, series_networks
from apps.risk.models.exported import EventMembers
from tests.apps.risk.exported import clients, series
from tests.apps.risk.models import events, networks
from tests.apps.risk.models.covariates import untrained as of_columns
from tests.apps.risk.models.covariates import whole


def test_the_last_dates_of_series_are_judged_and_those_before_calibrate() -> None:
    model, data = networks.untrained(), series()[1]
    panel = load_panel(data, None).panel_of("gain")
    trial = series_trial(model, panel, "gain")
    held = {}
    for name, ask in (("judge", trial.judge), ("earlier", trial.earlier)):
        held[name] = recorded(series_networks(model), ask)
        past = held[name]["forecast_alone"][0]
        assert past.shape == (4 * DATES, model.context)
        assert held[name]["forecast"][0].shape == (DATES, 4, model.context)
    last, before = held["judge"]["forecast_alone"][0], held["earlier"]["forecast_alone"][0]
    assert not torch.equal(last, before)
    metrics = trial.judge({})
    assert [one.name for one in trial.metrics] == list(metrics) == ["pinball", "pinball of a group"]

    def wide(*inputs: Tensor) -> Tensor:
        shape = (*inputs[0].shape[:-1], HORIZON + -HORIZON % model.net.size.patch, 21)
        return torch.linspace(-50, 50, 21).expand(shape)

    worse = trial.judge({"forecast_alone": wide, "forecast": wide})
    assert worse["pinball"] == pytest.approx(worse["pinball of a group"])
    assert worse["pinball"] > 3 * metrics["pinball"]


def test_the_columns_of_an_entity_are_judged_together() -> None:
    panel = whole()
    model, label = of_columns(panel), panel.columns.targets[0]
    trial = covariates_trial(model, panel, label)
    (network,) = covariates_networks(model)
    held = recorded([network], trial.earlier)["forecast"]
    assert held[0].shape == (len(panel.entities) * DATES, model.variables, model.context)
    for port, given in zip(network.inputs, held, strict=True):
        assert given.dtype == getattr(torch, port.dtype)
        assert len(port.dims) == given.ndim
        assert port.high is None or given.max() <= port.high
    plain, stands_in = trial.judge({}), trial.judge({"forecast": network.module})
    assert plain["pinball"] == pytest.approx(stands_in["pinball"], rel=1e-4)
    assert plain["pinball"] > 0


def test_the_test_of_an_event_is_judged() -> None:
    loaded = load_panel(clients()[1], None, events.whole().categories)
    model = events.untrained()
    trial = event_trial(model, loaded, events.HORIZON)
    metrics = trial.judge({})
    assert set(metrics) == {"log loss", "AUROC"}
    upside_down = trial.judge({"event": lambda *inputs: -EventMembers(model.members)(*inputs)})
    assert upside_down["AUROC"] == pytest.approx(1 - metrics["AUROC"])
    held = recorded(event_networks(model), trial.earlier)
    assert set(held) == {"event"}
    assert np.isfinite(held["event"][0].numpy()).all()
