"""What is loaded answers as what was saved, reads the past alone, and says which columns stand out."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logit

from apps.risk.data.features import features_of, pick, telling
from apps.risk.data.panel import part
from apps.risk.models.boosting import fit_boosting
from apps.risk.models.event_learning import gather
from apps.risk.models.event_models import KINDS, BoostingEvent, ScorecardEvent, load_event_model
from apps.risk.models.event_parts import Past
from apps.risk.models.scorecard import fit_scorecard
from core.errors import InputError
from tests.apps.risk.models.events import CONTEXT, HORIZON, described_again, known, origins, whole, windows


@functools.cache
def fitted(name: str) -> ScorecardEvent | BoostingEvent:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.risk.models.boosting.TREES", 25)
        features = features_of(gather(windows(), origins()), whole().columns)
        names = telling(features)
        x, event = pick(features, names), origins().event_B
        if name == "scorecard":
            return ScorecardEvent(Past(CONTEXT, HORIZON), fit_scorecard(x, event, names))
        trees = fit_boosting(x, event, origins().entity_B, folds=2)
        return BoostingEvent(Past(CONTEXT, HORIZON), names, trees, np.nanmedian(x, axis=0))


both = pytest.mark.parametrize("name", ["scorecard", "boosting"])


@both
def test_saved_and_loaded_it_answers_the_same(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    again = described_again(model, tmp_path)
    panel = known()
    one, other = model.forecast_event(panel), again.forecast_event(panel)
    assert np.array_equal(one.pd_N, other.pd_N)
    assert one.reason_N == other.reason_N == ("",) * len(panel.entities)
    assert model.drivers(panel) == again.drivers(panel)
    assert 0.0 < one.pd_N.min() < one.pd_N.max() < 1.0
    assert KINDS[name] is type(again)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 200_000


@both
def test_slices_answer_as_the_whole(name: str) -> None:
    model, panel = fitted(name), known()
    parts = [part(panel, first, first + 10) for first in range(0, len(panel.entities), 10)]
    pieces = np.concatenate([model.forecast_event(piece).pd_N for piece in parts])
    assert np.array_equal(pieces, model.forecast_event(panel).pd_N)
    assert sum((model.drivers(piece) for piece in parts), ()) == model.drivers(panel)


@both
def test_lateness_is_a_driver_of_those_who_are_late(name: str) -> None:
    model, panel = fitted(name), known(clients=200)
    batch = model.past.latest(panel)
    late_N = batch.past_BCF[:, -1, panel.columns.features.index("days_late")].numpy() > 0
    first = [reasons[0].feature if reasons else "" for reasons in model.drivers(panel)]
    assert late_N.sum() > 5
    assert np.mean([name == "days_late" for name, late in zip(first, late_N, strict=True) if late]) > 0.9
    assert all(len(reasons) <= 4 for reasons in model.drivers(panel))


def test_drivers_of_the_card_add_up_to_its_log_odds() -> None:
    model, panel = fitted("scorecard"), known()
    assert isinstance(model, ScorecardEvent)
    x = pick(features_of(model.past.latest(panel), panel.columns), model.card.names)
    above = model.card.points_NF(x) - model.card.reference_F
    raising = [sum(reason.log_odds for reason in reasons) for reasons in model.drivers(panel)]
    pd = model.forecast_event(panel).pd_N
    average = model.card.intercept + model.card.reference_F.sum()
    assert np.allclose(above.sum(axis=1) + average, logit(pd))
    assert (np.array(raising) >= above.sum(axis=1) - 1e-9).mean() > 0.5


def test_a_file_of_other_types_is_not_read(tmp_path: Path) -> None:
    described = fitted("boosting").save(tmp_path)
    path = tmp_path / "boosting.skops"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["schema.json"] = content["schema.json"].replace(b"_SigmoidCalibration", b"_IsotonicCalibration")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"boosting\.skops is missing, damaged") as caught:
        load_event_model("boosting", tmp_path, described)
    assert caught.value.code == "weights_damaged"


@pytest.mark.parametrize("damage", [{"features": None}, {"context": []}])
def test_a_description_that_does_not_fit_is_refused(damage: dict[str, Any], tmp_path: Path) -> None:
    described = {**fitted("scorecard").save(tmp_path), **damage}
    with pytest.raises(InputError, match=r"model\.json is missing, damaged"):
        load_event_model("scorecard", tmp_path, described)


def test_the_folder_holds_nobodys_rows(tmp_path: Path) -> None:
    fitted("boosting").save(tmp_path)
    with zipfile.ZipFile(tmp_path / "boosting.skops") as archive:
        sizes = [entry.file_size for entry in archive.infolist() if entry.filename.endswith(".npy")]
    assert max(sizes) < 8 * len(origins())
