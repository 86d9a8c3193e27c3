"""What tft and deepar answer, saved and loaded; networks without training will do for that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from apps.risk.data.panel import part
from apps.risk.models.forecast import PathForecast
from apps.risk.models.forecasting_models import DESCRIPTION, WEIGHTS, load_forecasting
from apps.risk.models.sizes import QUANTILE_LEVELS
from core.errors import InputError
from tests.apps.risk.models.driven import driven, driven_panel, untrained

BOTH = pytest.mark.parametrize("name", ["tft", "deepar"])


def answer(name: str, table: pd.DataFrame | None = None, horizon: int = 3) -> PathForecast:
    return untrained(name, driven_panel()).forecast(driven_panel(table), "target", horizon, 100, 0)


@BOTH
def test_paths_of_all_entities_in_order(name: str) -> None:
    panel = driven_panel()
    model = untrained(name, panel)
    assert model.name == name
    result = model.forecast(panel, "target", 3, 100, 0)
    # 80 days are known: 77 blocks of three, twice
    assert result.path_SNH.shape == (154, 6, 3)
    assert result.reason_N == ("",) * 6
    assert (result.path_SNH.std(axis=0) > 0).all()


@BOTH
def test_slices_answer_as_the_whole(name: str) -> None:
    panel = driven_panel()
    model = untrained(name, panel)
    whole = model.forecast(panel, "target", 3, 100, 0).path_SNH
    halves = [model.forecast(part(panel, *ends), "target", 3, 100, 0).path_SNH for ends in ((0, 1), (1, 6))]
    np.testing.assert_allclose(np.concatenate(halves, axis=1), whole, rtol=1e-5, atol=1e-5)


@BOTH
def test_a_shorter_horizon_is_the_beginning_of_a_longer_one(name: str) -> None:
    levels = np.array(QUANTILE_LEVELS)
    short, whole = answer(name, horizon=1).quantile_NHQ(levels), answer(name).quantile_NHQ(levels)
    np.testing.assert_allclose(short[:, 0], whole[:, 0], atol=0.1)  # other strata of the same law


@BOTH
def test_only_what_is_known_counts(name: str) -> None:
    table, known = driven(), answer(name).path_SNH
    later = table["time"] > "2024-03-20"
    changed = table.copy()
    changed.loc[later, ["target", "seen", "noise"]] = 1e6
    assert np.array_equal(answer(name, changed).path_SNH, known)
    changed.loc[later, "due.sum"] = 3.0
    assert not np.allclose(answer(name, changed).path_SNH, known)


@BOTH
def test_another_unit_gives_the_same_in_that_unit(name: str) -> None:
    table, known = driven(), answer(name).path_SNH
    # a multiple of all values leaves the ranks of past days as they are
    times = answer(name, table.assign(target=1e6 * table["target"])).path_SNH
    np.testing.assert_allclose(times, 1e6 * known, rtol=1e-3, atol=1e3)


@BOTH
def test_series_that_moved_together_do_so_in_each_path(name: str) -> None:
    table = driven(3)
    one, two, three = (table["entity"] == f"e{number}" for number in range(3))
    table.loc[two, "target"] = 3.0 * table.loc[one, "target"].to_numpy()
    table.loc[three, "target"] = -table.loc[one, "target"].to_numpy()
    path_SNH = answer(name, table).path_SNH
    for h in range(3 if name == "tft" else 1):  # a draw of deepar depends on its own draws before it
        order_NS = path_SNH[:, :, h].argsort(axis=0).T
        assert np.array_equal(order_NS[0], order_NS[1])
        against = np.corrcoef(path_SNH[:, 0, h].argsort().argsort(), path_SNH[:, 2, h].argsort().argsort())
        assert against[0, 1] < -0.999  # but for the two copies of each block
    assert np.corrcoef(path_SNH[:, 0, 2], path_SNH[:, 1, 2])[0, 1] > 0.99


def test_tfts_quantiles_are_kept() -> None:
    """The plain twin: the network's own output for the latest windows, sorted and brought to the series' unit."""
    panel = driven_panel()
    model = untrained("tft", panel)
    result = model.forecast(panel, "target", 3, 100, 0)
    first_NQ = result.quantile_NHQ(np.array(QUANTILE_LEVELS))[:, 0]
    for entity, reason in enumerate(result.reason_N):
        assert reason == ""
        begin = panel.offset_N1[entity]
        past = panel.value_RF[begin + 80 - 24 : begin + 80, 0].astype(np.float64)
        z_Q = (first_NQ[entity] - past.mean()) / past.std(ddof=1)
        assert (np.diff(z_Q) >= 0).all()
        assert np.abs(z_Q).max() < 10  # an untrained network answers about 0, in units of the past


@BOTH
def test_reasons(name: str) -> None:
    table = driven()
    for entity, values in (("e1", np.nan), ("e2", 5.0)):
        table.loc[table["entity"] == entity, "target"] = values
    table = table[(table["entity"] != "e3") | (table["time"] > "2024-03-05")]  # 15 days
    result = answer(name, table)
    assert result.reason_N == ("", "all_missing", "constant", "too_short", "", "")
    assert np.isnan(result.path_SNH).all(axis=(0, 2)).tolist() == [False, True, False, True, False, False]
    np.testing.assert_allclose(result.path_SNH[:, 2], 5.0, rtol=1e-6)


def test_an_unseen_category_is_forecast_all_the_same() -> None:
    result = answer("tft", driven().assign(kind="new"))
    assert result.reason_N == ("",) * 6


@BOTH
def test_a_loaded_model_answers_with_the_same_bytes(name: str, tmp_path: Path) -> None:
    panel = driven_panel()
    model = untrained(name, panel)
    model.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [DESCRIPTION, WEIGHTS]
    loaded = load_forecasting(tmp_path / "model")
    assert loaded.net.description == model.net.description
    result = [each.forecast(panel, "target", 3, 100, 0).path_SNH for each in (model, loaded)]
    assert np.array_equal(*result)
    loaded.save(tmp_path / "again")
    for file in (DESCRIPTION, WEIGHTS):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "model" / file).read_bytes()


def test_what_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    untrained("deepar", driven_panel()).save(tmp_path)
    for file, content in ((WEIGHTS, b"nothing"), (DESCRIPTION, b"{}"), (DESCRIPTION, b"[1]")):
        whole = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(content)
        with pytest.raises(
            InputError, match="holds no model that this version can read: train it again"
        ) as caught:
            load_forecasting(tmp_path)
        assert caught.value.code == "weights_unreadable"
        (tmp_path / file).write_bytes(whole)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(InputError, match=rf"has no {WEIGHTS}: name a folder of a trained model"):
        load_forecasting(tmp_path)


def test_what_it_was_not_trained_for_is_refused() -> None:
    panel = driven_panel()
    model = untrained("tft", panel)
    with pytest.raises(InputError, match=r"for 3 steps ahead, not 4: train it with model\.horizon=4"):
        model.forecast(panel, "target", 4, 100, 0)
    with pytest.raises(InputError, match='tft was trained to forecast "target", not "seen"'):
        model.forecast(panel, "seen", 3, 100, 0)


def test_shares_of_tft_sum_to_one_and_come_again() -> None:
    panel = driven_panel()
    model = untrained("tft", panel)
    result = model.importance(panel, seed=1)
    assert list(result) == ["encoder", "decoder", "static"]
    for shares in result.values():
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert set(result["encoder"]) == {"target", "seen", "noise", "due.sum", "relative_time_idx"}
    torch.rand(3)
    assert model.importance(panel, seed=1) == result
    assert model.importance(panel, seed=2) != result


def test_deepar_is_explained_by_shuffling() -> None:
    result = untrained("deepar", driven_panel()).importance(driven_panel())
    assert list(result) == ["permutation"]
    assert list(result["permutation"]) == ["seen", "noise", "due.sum", "kind", "age"]
    assert result["permutation"]["seen"] == result["permutation"]["noise"] == 0.0  # it does not see them
    assert result["permutation"]["due.sum"] != 0.0


@BOTH
def test_a_level_of_a_billion_takes_nothing_from_what_changes(name: str) -> None:
    low, high = driven(), driven()
    high["target"] += 1e9
    levels = np.array(QUANTILE_LEVELS)
    plain, raised = (answer(name, table).quantile_NHQ(levels) for table in (low, high))
    np.testing.assert_allclose(raised - 1e9, plain, atol=0.02 * np.ptp(plain))
