"""The Python API: the numbers of the command, its refusals as objects, its examples as they stand in the docstrings."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from apps import risk
from apps.risk.data.loan_book import generate_loan_book
from apps.risk.models.risk_model import EMBEDDED
from tests.apps.risk.score_inputs import config, go, returns

NAMES = [
    "Columns",
    "ConfigError",
    "InputError",
    "Refused",
    "RiskModel",
    "Sample",
    "Scores",
    "TriptychError",
    "load_model",
    "load_sample",
    "score_table",
]
COLUMNS = risk.Columns(entity="asset", time="day", targets=("gain",))


def baseline(name: str = "historical_simulation") -> risk.RiskModel:
    return risk.load_model(name=name)


def test_the_public_names_are_frozen_and_documented() -> None:
    assert risk.__all__ == NAMES
    for name in NAMES:
        assert (getattr(risk, name).__doc__ or "").strip(), name


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    # the examples of errors, which stand in the core, name each other without an import
    errors = {error.__name__: error for error in (risk.ConfigError, risk.InputError, risk.TriptychError)}
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(risk, name), name, module=False, globs=errors)
    assert test.examples, f"{name} needs an example in its docstring"
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test).failed == 0


def test_the_package_is_imported_without_its_libraries() -> None:
    code = "import sys, apps.risk; print([n for n in ('torch', 'pandas', 'numpy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_frame_is_scored_to_the_numbers_of_the_command(tmp_path: Path) -> None:
    table = returns()
    table.loc[table["asset"] == "s001", "gain"] = 1.5
    held = tmp_path / "held.csv"
    held.write_text("portfolio,entity,weight\nhedged,s000,1\nhedged,s002,-0.5\n")
    assert go(config(tmp_path, table, score_portfolios=str(held), score_var_limit=0.01), tmp_path) == 4
    written = pq.read_table(tmp_path / "out" / "scores" / "as_of=2024-03-22", partitioning=None).to_pandas()
    before = table.copy()
    scores = risk.score_table(
        table,
        COLUMNS,
        baseline(),
        horizon=2,
        paths=100,
        portfolios={"hedged": {"s000": 1.0, "s002": -0.5}},
        var_limit=0.01,
    )
    pd.testing.assert_frame_equal(scores.frame, written)
    pd.testing.assert_frame_equal(table, before)
    assert scores.as_of == "2024-03-22"
    assert [one[:4] for one in scores.refused] == [("entity", "s001", "gain", "constant")]
    assert scores.seen_in_training == {}
    assert len(scores.rejected) == 0


def test_an_event_is_scored_with_the_model_of_a_folder() -> None:
    book = generate_loan_book(borrowers=60, seed=0)
    model = risk.load_model(EMBEDDED / "loan_book", device="cpu")
    scores = risk.score_table(book.table, book.columns, model, as_of="2016-12-31")
    known = scores.frame[scores.frame["pd"].notna()]
    assert len(known) > 20
    assert known["pd"].between(0.0, 1.0).all()
    assert set(known["step"]) == {12}
    assert {one.entity for one in scores.refused} | set(known["entity"]) == set(book.table["borrower"])
    assert "event_happened" in {one.code for one in scores.refused}


def test_later_rows_are_not_looked_at_and_names_may_be_numbers() -> None:
    table = returns()
    table["asset"] = table["asset"].str[1:].astype(int)
    early = risk.score_table(table, COLUMNS, baseline(), as_of="2024-02-29", horizon=1, paths=100)
    cut = risk.score_table(table[table["day"] <= "2024-02-29"], COLUMNS, baseline(), horizon=1, paths=100)
    pd.testing.assert_frame_equal(early.frame, cut.frame)
    assert set(early.frame["entity"]) == {"0", "1", "2", "3", "equal_weights"}


def test_rows_that_cannot_be_used_are_listed_or_too_many() -> None:
    table = returns()
    table["gain"] = table["gain"].astype(object)
    table.loc[5, "gain"] = "abc"
    scores = risk.score_table(table, COLUMNS, baseline(), horizon=1, paths=100)
    [row] = scores.rejected.to_dict("records")
    assert (row["row"], row["entity"], row["column"], row["code"]) == (5, "s000", "gain", "not_a_number")
    with pytest.raises(risk.InputError, match="1 of 240 rows would be set aside, more than") as caught:
        risk.score_table(table, COLUMNS, baseline(), max_rejected=0.001)
    assert caught.value.code == "too_many_rows_rejected"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"horizon": 0}, "config_range"),
        ({"as_of": "1999-12-31"}, "as_of_before_data"),
        ({"portfolios": {"p": {"s000": np.nan}}}, "portfolio_weight"),
        ({"columns": risk.Columns("asset", "day", ("price",))}, "column_missing"),
        ({"columns": risk.Columns("asset", "day", (), event="bad")}, "model_unsuited"),
    ],
)
def test_what_cannot_be_scored_is_an_error_with_a_code(options: dict[str, object], code: str) -> None:
    with pytest.raises(risk.TriptychError) as caught:
        risk.score_table(
            **{"table": returns().assign(bad=0), "columns": COLUMNS, "model": baseline(), **options}  # type: ignore[arg-type]
        )
    assert caught.value.code == code
