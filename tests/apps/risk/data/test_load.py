"""From settings to a panel: whose columns count, which date, who is refused, and each kind of bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.config import DataConfig
from apps.risk.data.as_of_time import parse_as_of
from apps.risk.data.columns import Columns
from apps.risk.data.load import (
    Loaded,
    configured_columns,
    event_refusals,
    known_since,
    load_panel,
    panel_digest,
    without,
)
from core.errors import ConfigError, InputError, TriptychError
from tests.apps.risk.data.panels import panel_of

DAYS = [f"2024-01-{day:02d}" for day in range(1, 9)]


def rows(entity: str, values: list[Any], days: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"asset": entity, "day": (days or DAYS)[: len(values)], "gain": values})


def own(tmp_path: Path, *parts: pd.DataFrame, name: str = "table.csv", **words: Any) -> DataConfig:
    """Settings of a CSV of one's own."""
    pd.concat(parts).to_csv(tmp_path / name, index=False)
    words = {"entity": "asset", "time": "day", "targets": "gain"} | words
    return DataConfig(sample=None, path=str(tmp_path / name), **words)


def usual() -> tuple[pd.DataFrame, pd.DataFrame]:
    return rows("a", [1.0, -2.0, 0.5, 3.0]), rows("b", [2.0, 1.0, -1.0, 0.25])


def value_of(loaded: Loaded, entity: str) -> list[float]:
    index = loaded.panel.entities.index(entity)
    begin, end = loaded.panel.offset_N1[index : index + 2]
    return [float(value) for value in loaded.panel.value_RF[begin:end, 0]]


def test_a_table_is_read_judged_and_seen_as_of_its_last_date_or_the_one_asked_for(tmp_path: Path) -> None:
    cfg = own(tmp_path, *usual())
    loaded = load_panel(cfg)
    assert loaded.panel.entities == ("a", "b")
    assert loaded.as_of == parse_as_of("2024-01-04")
    assert (loaded.refused, loaded.refused_by, len(loaded.checked.rejected)) == ({}, {"gain": {}}, 0)
    earlier = load_panel(cfg, "2024-01-02")
    assert value_of(earlier, "a") == [1.0, -2.0]
    assert earlier.checked.later == 4
    assert earlier.digest != loaded.digest == load_panel(cfg, "2024-01-04").digest == load_panel(cfg).digest


def test_samples_have_their_own_columns_and_dates(real_data: Path) -> None:
    credit = load_panel(DataConfig(sample="credit"))
    assert credit.as_of == parse_as_of("2005-09-30")
    assert (len(credit.panel.entities), credit.columns.event, credit.refused) == (30000, "default", {})
    assert load_panel(DataConfig(sample="markets")).as_of == parse_as_of("2019-01-03")


def test_the_loan_book_is_seen_while_its_outcome_is_known_and_leaves_out_who_has_defaulted() -> None:
    loaded = load_panel(DataConfig(sample="loan_book", oldest=0))
    assert loaded.as_of == parse_as_of("2016-12-31"), "12 months before its end"
    codes = {code for code, _ in loaded.refused.values()}
    assert codes == {"event_happened", "stale"}, "defaults, and accounts that were closed"
    assert len(loaded.panel.entities) + len(loaded.refused) <= 2000
    assert load_panel(DataConfig(sample="loan_book", oldest=0), seed=1).digest != loaded.digest


@pytest.mark.parametrize("role", ["entity", "columns", "table", "zone"])
def test_the_columns_of_a_sample_cannot_be_named(role: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^data\.{role} describes a table of your own, and the sample mark"
    ):
        load_panel(replace(DataConfig(), **{role: "x"}))  # type: ignore[arg-type]


def test_names_given_here_replace_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "columns.yaml"
    file.write_text("entity: client\ntime: month\nobserved: [bill, paid]\n")
    given = DataConfig(sample=None, path="x", columns=str(file), observed="limit , use", known_at="known_on")
    assert configured_columns(given) == Columns(
        entity="client", time="month", observed=("limit", "use"), known_at="known_on"
    )
    event = replace(given, event="default")
    assert (configured_columns(event).targets, configured_columns(event).event) == ((), "default")
    assert configured_columns(DataConfig(sample=None, path="x")) == Columns()
    file.write_text("entity: client\ntargets: [gain]\n")
    assert configured_columns(event).targets == ("gain",)
    with pytest.raises(ConfigError, match=r'column "bill" has two roles'):
        configured_columns(replace(given, observed="bill", known="bill"))


def test_who_cannot_be_forecast_is_named_and_left_out(tmp_path: Path) -> None:
    two = rows("two", [1.0, 2.0, 3.0]).assign(loss=[5.0, 5.0, 5.0])
    parts = [part.assign(loss=part["gain"]) for part in (*usual(), rows("flat", [7.0, 7.0]))]
    lost = rows("lost", ["x", "y"]).assign(loss=1.0)
    loaded = load_panel(own(tmp_path, *parts, two, lost, targets="gain,loss"))
    assert loaded.panel.entities == ("a", "b", "two")
    assert {name: code for name, (code, _) in loaded.refused.items()} == {
        "flat": "constant",
        "lost": "rows_rejected",
    }
    assert list(loaded.refused_by["loss"]) == ["flat", "lost", "two"]
    assert list(loaded.refused_by["gain"]) == ["flat", "lost"]
    assert loaded.panel_of("loss").entities == ("a", "b")
    assert loaded.panel_of("gain") is loaded.panel
    only = load_panel(own(tmp_path, parts[2], targets="gain"))
    assert (only.panel.entities, list(only.refused)) == ((), ["flat"])


def test_categories_are_those_of_the_training_and_learned_where_it_had_none(tmp_path: Path) -> None:
    parts = [part.assign(sector=word, land="X") for part, word in zip(usual(), "kz", strict=True)]
    cfg = own(tmp_path, *parts, statics="sector,land")
    assert load_panel(cfg).panel.code_NS.tolist() == [[1, 1], [2, 1]]
    loaded = load_panel(cfg, categories={"sector": ("h", "k")})
    assert loaded.panel.code_NS.tolist() == [[2, 1], [0, 1]], "z was not there in training"


def test_what_is_known_later_changes_nothing_not_even_the_digest(tmp_path: Path) -> None:
    before = load_panel(own(tmp_path, *usual()), "2024-01-03")
    changed = [part.assign(gain=part["gain"].where(part["day"] <= "2024-01-03", 1e18)) for part in usual()]
    after = load_panel(own(tmp_path, *changed, rows("new", [1.0, 2.0], DAYS[6:])), "2024-01-03")
    assert after.digest == before.digest
    assert (after.refused, after.refused_by) == (before.refused, before.refused_by)
    assert after.checked.rejected.equals(before.checked.rejected)


def test_a_plan_that_reaches_ahead_is_no_news_of_the_label(tmp_path: Path) -> None:
    table = rows("a", [1.0, 2.0, None, None]).assign(plan=[1, 2, 3, 4], known_on=DAYS[:2] + [DAYS[0]] * 2)
    late = load_panel(own(tmp_path, table, known="plan"))
    assert (late.as_of, list(late.panel.past_N)) == (parse_as_of("2024-01-02"), [2])
    table.loc[1, "known_on"] = DAYS[4]
    later = load_panel(own(tmp_path, table, known="plan", known_at="known_on"))
    assert later.as_of == parse_as_of("2024-01-05"), "the day on which its last value became known"


def test_of_a_table_without_any_label_all_times_count(tmp_path: Path) -> None:
    loaded = load_panel(own(tmp_path, rows("a", [None, None])))
    assert known_since(loaded.checked, loaded.columns).max() == np.datetime64("2024-01-02")
    assert loaded.refused["a"] == ("all_missing", "it has no value from which gain could be forecast")


def test_an_event_is_predicted_of_those_who_live_and_have_not_met_it() -> None:
    columns = Columns("asset", "day", (), "bad", observed=("gain",), known=("plan",), known_at="known_on")
    table = pd.concat(
        [
            rows("fine", [1.0, 2.0]).assign(bad=[0, 0]),
            rows("unknown", [1.0, 2.0]).assign(bad=None),
            rows("gone", [1.0, 2.0]).assign(bad=[0, 1]),
            rows("again", [1.0, 2.0]).assign(bad=[1, 0]),
            rows("old", [1.0]).assign(bad=0),
            rows("next", [None], ["2024-01-09"]).assign(bad=None),
        ]
    ).assign(known_on=DAYS[0], plan=1.0)
    panel = panel_of(table, columns, "2024-01-02")
    result = event_refusals(panel, oldest=0)
    assert {name: code for name, (code, _) in result.items()} == {
        "gone": "event_happened",
        "next": "no_history",
        "old": "stale",
    }
    assert result["old"][1] == "its last row lies 1 steps back, and at most 0 are allowed (data.oldest)"
    assert "old" not in event_refusals(panel)


def test_without_leaves_a_panel_as_it_is_where_nobody_goes(tmp_path: Path) -> None:
    panel = load_panel(own(tmp_path, *usual())).panel
    assert without(panel, {"x": ("c", "s")}) is panel
    assert without(panel, {"a": ("c", "s")}).entities == ("b",)
    assert panel_digest(without(panel, {"a": ("c", "s")})) != panel_digest(panel)


BAD_ROWS = {
    "infinite": (rows("c", [1.0, np.inf, 2.0]), {"infinite": 1}, {}),
    "1e18": (rows("c", [1.0, 1e18, 2.0]), {"out_of_range": 1}, {}),
    "duplicated key": (
        pd.concat([rows("c", [1.0, 2.0]), rows("c", [9.0])]),
        {"duplicate_key": 2},
        {"c": "too_short"},
    ),
    "same row twice": (pd.concat([rows("c", [1.0, 2.0]), rows("c", [1.0])]), {"duplicate_row": 1}, {}),
    "no number": (rows("c", [1.0, "abc", 2.0]), {"not_a_number": 1}, {}),
    "no entity": (rows("", [1.0]), {"entity_missing": 1}, {}),
    "mixed zones": (rows("c", [1.0], ["2024-01-01T00:00+05:00"]), {"time_zone": 1}, {"c": "rows_rejected"}),
    "constant": (rows("c", [4.0, 4.0, 4.0]), {}, {"c": "constant"}),
    "all missing": (rows("c", [None, None]), {}, {"c": "all_missing"}),
    "too short": (rows("c", [1.0]), {}, {"c": "too_short"}),
    "all infinite": (rows("c", [-np.inf, np.inf]), {"infinite": 2}, {"c": "rows_rejected"}),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_or_series_is_set_aside_with_its_code_and_the_others_go_on(
    case: str, tmp_path: Path
) -> None:
    part, rejected, refused = BAD_ROWS[case]
    loaded = load_panel(own(tmp_path, *usual(), part))
    assert loaded.checked.rejected["code"].value_counts().to_dict() == rejected
    assert {name: code for name, (code, _) in loaded.refused.items()} == refused
    assert value_of(loaded, "a") == [1.0, -2.0, 0.5, 3.0]
    assert value_of(loaded, "b") == [2.0, 1.0, -1.0, 0.25]


def test_unsorted_rows_are_sorted(tmp_path: Path) -> None:
    straight = load_panel(own(tmp_path, *usual()))
    mixed = load_panel(own(tmp_path, pd.concat(usual()).sample(frac=1.0, random_state=1)))
    assert mixed.digest == straight.digest


def test_rows_of_the_future_do_not_exist_and_one_that_claims_to_be_known_is_set_aside(tmp_path: Path) -> None:
    future = rows("a", [9.0], ["2031-01-01"])
    loaded = load_panel(own(tmp_path, *usual(), future), "2024-01-04")
    assert (value_of(loaded, "a")[-1], loaded.checked.later) == (3.0, 1)
    metadata = pd.concat([*usual(), future]).assign(known_on=DAYS[3])
    claims = load_panel(own(tmp_path, metadata, known_at="known_on"))
    assert list(claims.checked.rejected["code"]) == ["future_dated"]


def test_a_date_far_after_all_others_is_doubted_unless_another_is_asked_for(tmp_path: Path) -> None:
    cfg = own(tmp_path, *usual(), rows("a", [9.0], ["2204-01-05"]))
    sentence = (
        "without as_of the data's last date counts, 2204-01-05, and it lies far after the others, which end on "
        "2024-01-04: correct that row, or say which date is meant, such as as_of=2024-01-04"
    )
    with pytest.raises(InputError) as caught:
        load_panel(cfg)
    assert (caught.value.code, caught.value.sentence) == ("as_of_doubtful", sentence)
    asked = load_panel(cfg, "2024-01-04")
    assert (asked.digest, asked.checked.later) == (load_panel(own(tmp_path, *usual())).digest, 1)
    plan = own(
        tmp_path, pd.concat([*usual(), rows("a", [None], ["2204-01-05"])]).assign(plan=1), known="plan"
    )
    assert load_panel(plan).as_of == parse_as_of("2024-01-04"), "what is planned may lie far ahead"


BROKEN: dict[str, tuple[dict[str, Any], str | None, dict[str, Any], str]] = {
    "wrong schema": ({}, None, {"targets": "gian"}, r'has no column "gian": did you mean "gain"\?'),
    "as_of before all data": (
        {},
        "2023-12-31",
        {},
        r"nothing was known as of 2023-12-31: the first row became",
    ),
    "as_of no date": ({}, "soon", {}, r"as_of=soon is not a valid date: wanted one such as 2024-06-30"),
    "no usable row": (
        {"gain": "x"},
        None,
        {},
        r"no row can be used \(not_a_number 8\); the first, row 0: gain",
    ),
    "no such file": ({}, None, {"path": "nowhere.csv"}, r"nowhere\.csv does not exist: name a file"),
    "no such column file": ({}, None, {"columns": "nowhere.yaml"}, r"nowhere\.yaml cannot be read: No such"),
    "no such zone": ({}, None, {"zone": "Mars"}, r"zone=Mars is not a time zone"),
    "database away": (
        {},
        None,
        {"path": "postgresql://user:secret@127.0.0.1:1/risk", "table": "t"},
        r"127\.0\.0\.1",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_table_stops_with_one_clear_line(case: str, tmp_path: Path) -> None:
    changes, as_of, words, sentence = BROKEN[case]
    cfg = own(tmp_path, pd.concat(usual()).assign(**changes))
    with pytest.raises(TriptychError, match=sentence) as caught:
        load_panel(replace(cfg, **words), as_of)
    assert isinstance(caught.value, (ConfigError, InputError))
    assert "\n" not in caught.value.sentence
    assert "secret" not in caught.value.sentence
