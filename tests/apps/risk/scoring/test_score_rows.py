"""All rows of a date: each entity once for each label and step, events with their riskiest, the tally."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from apps.risk.config import DataConfig
from apps.risk.data.load import Loaded, load_panel
from apps.risk.data.panel import Panel
from apps.risk.models.baselines import HistoricalSimulation
from apps.risk.models.forecast import EventForecast, Reason
from apps.risk.scoring.score_rows import Refused, Settings, Tally, score_rows
from tests.apps.risk.models.networks import untrained
from tests.apps.risk.score_inputs import returns

SETTINGS = Settings(horizon=3, paths=60, seed=0, chunk=2, alert_share=0.5, var_limit=None)


class Event:
    """The PD is the mean of the gain, made a probability; who has no gain is refused."""

    name = "fixed"

    def forecast_event(self, panel: Panel) -> EventForecast:
        number = panel.columns.features.index("gain")
        rows = np.split(panel.value_RF[:, number], panel.offset_N1[1:-1])
        pd_N = np.array([row.mean() / (1.0 + np.abs(row).mean()) / 2.0 + 0.5 for row in rows])
        return EventForecast(pd_N, tuple("all_missing" if np.isnan(p) else "" for p in pd_N))

    def drivers(self, panel: Panel) -> tuple[tuple[Reason, ...], ...]:
        return tuple((Reason("gain", 1.0),) for _ in panel.entities)


def loaded(tmp_path: Path, table: pd.DataFrame, **words: str) -> Loaded:
    table.to_csv(tmp_path / "t.csv", index=False)
    own = {"entity": "asset", "time": "day"} | words
    return load_panel(DataConfig(None, str(tmp_path / "t.csv"), **own))  # type: ignore[arg-type]


def all_rows(inputs: Loaded, tally: Tally, settings: Settings = SETTINGS) -> pd.DataFrame:
    event = (Event(), 12) if inputs.columns.event else None
    pieces = list(score_rows(inputs, HistoricalSimulation(), event, settings, None))
    for piece in pieces:
        tally.add(piece)
    return pa.concat_tables([piece.rows for piece in pieces]).to_pandas()


def test_each_entity_has_its_rows_for_each_label(tmp_path: Path) -> None:
    table = returns(5).assign(loss=lambda t: -t["gain"], bad=0)
    table.loc[table["asset"] == "s001", ["loss", "bad"]] = [2.5, 1]
    tally = Tally()
    rows = all_rows(loaded(tmp_path, table, targets="gain,loss", event="bad", observed=""), tally)
    counts = rows.groupby(["kind", "target", "entity"])["step"].agg(list).to_dict()
    assert counts["entity", "gain", "s001"] == [1, 2, 3]
    assert counts["entity", "loss", "s001"] == [0]
    assert counts["entity", "bad", "s001"] == [0]
    assert counts["entity", "bad", "s000"] == [12]
    assert counts["portfolio", "loss", "equal_weights"] == [1, 2, 3]
    assert len(counts) == 5 * 3 + 2
    assert [one[:4] for one in tally.aside] == [
        ("entity", "s001", "loss", "constant"),
        ("entity", "s001", "bad", "event_happened"),
    ]
    assert tally.refused(3) == {}, "it has numbers of one label"
    assert tally.refused(2) == {"s001": "constant"}
    assert tally.alerts == {"pd_top_share": 2}


def test_the_riskiest_share_is_of_all_not_of_each_slice(tmp_path: Path) -> None:
    table = returns(6).assign(bad=0)
    table["gain"] += table["asset"].str[1:].astype(int) ** 2.0
    table.loc[table["asset"] == "s003", "gain"] = None
    inputs = loaded(tmp_path, table, targets="", event="bad", observed="gain")
    tally = Tally()
    rows = all_rows(inputs, tally).set_index("entity")
    assert list(rows.index[rows["alert"] == "pd_top_share"]) == ["s004", "s005"]
    assert rows.loc["s005", "drivers"] == "gain +1.00"
    assert tally.aside == [
        Refused("entity", "s003", "bad", "all_missing", "it has no value from which bad could be forecast")
    ]
    whole = all_rows(inputs, Tally(), SETTINGS.__class__(**{**vars(SETTINGS), "chunk": 100}))
    pd.testing.assert_frame_equal(whole.set_index("entity"), rows)


@pytest.mark.parametrize("label", ["gain", "bad"])
def test_a_label_of_which_nobody_is_left_has_its_refusals(label: str, tmp_path: Path) -> None:
    table = returns(2, days=1).assign(bad=1)
    words = {"targets": "gain"} if label == "gain" else {"targets": "", "event": "bad"}
    tally = Tally()
    rows = all_rows(loaded(tmp_path, table, **words), tally)
    assert list(rows["step"]) == [0, 0]
    assert tally.refused(1) == dict.fromkeys(
        ["s000", "s001"], "too_short" if label == "gain" else "event_happened"
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_chunks_and_the_order_of_rows_change_no_number(grouped: bool, tmp_path: Path) -> None:
    """Sixty-five series, none of which was looked at as one of sixty-four would have been."""
    table = returns(65)
    table["sector"] = table["asset"].str[1:].astype(int) // 30  # groups of 30, 30 and 5
    model = replace(untrained(), residual_KQ=np.tile(np.linspace(-1, 1, 21), (2, 1)))
    scored = []
    for index, (chunk, some) in enumerate(
        ((2000, table), (1, table), (64, table.sample(frac=1.0, random_state=0)), (7, table[::-1]))
    ):
        folder = tmp_path / str(index)
        folder.mkdir()
        one = loaded(folder, some, targets="gain", **({"group": "sector"} if grouped else {}))
        pieces = score_rows(one, model, None, replace(SETTINGS, chunk=chunk), None)
        rows = (
            pa.concat_tables([piece.rows for piece in pieces])
            .to_pandas()
            .sort_values(["kind", "entity", "step"])
        )
        scored.append(rows.reset_index(drop=True))
    assert set(scored[0]["kind"]) == {"entity", "portfolio"}
    for rows in scored[1:]:
        pd.testing.assert_frame_equal(rows, scored[0], rtol=1e-12, atol=1e-12)


def test_how_many_values_each_number_stands_on_is_said(tmp_path: Path) -> None:
    """Twenty values gave a 1 % VaR without a word."""
    table = returns(3, days=60)
    table = table[(table["asset"] != "s001") | (table["day"] >= table["day"].sort_values().unique()[-20])]
    tally = Tally()
    rows = all_rows(loaded(tmp_path, table, targets="gain"), tally).set_index("entity")
    assert rows.loc["s001", "observations"].tolist() == [20] * 3
    assert rows.loc["s000", "observations"].tolist() == [60] * 3
    assert rows.loc["equal_weights", "observations"].tolist() == [20] * 3
    assert set(rows["note"]) == {"few_observations"}
    assert rows["var_010"].notna().all()
    assert tally.few == 3
