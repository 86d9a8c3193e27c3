"""One row for each client: what was known of it and what became of it lie at two times; no date sees both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from apps.risk.config import DataConfig, RiskConfig
from apps.risk.data.load import Loaded, load_panel
from apps.risk.data.outcomes import event_origins
from apps.risk.train import run as train
from core.errors import ConfigError, InputError
from core.runs.folder import open_run

ROLES = {"entity": "client", "time": "month", "event": "default", "observed": "util", "static_numbers": "age"}
TABLE = pd.DataFrame(
    {
        "client": ["a", "b", "c", "d"],
        "month": "2022-01-31",
        "default": [1, 0, 0, None],
        "util": [0.1, 0.2, 0.3, 0.4],
        "age": [40, 50, 60, 70],
    }
)


def load(
    folder: Path, table: pd.DataFrame = TABLE, as_of: str | None = None, months: int | None = 1
) -> Loaded:
    table.to_csv(folder / "t.csv", index=False)
    return load_panel(_data(folder, months), as_of)


def _data(folder: Path, months: int | None) -> DataConfig:
    return DataConfig(sample=None, path=str(folder / "t.csv"), outcome_after=months, **ROLES)


def rows(loaded: Loaded) -> list[tuple[str, str, float, float]]:
    """Return client, month, default and util of each row, NaN as -1."""
    panel = loaded.everyone
    value_RF = np.nan_to_num(panel.value_RF, nan=-1.0)
    days = panel.calendar_T[panel.step_R].astype("datetime64[D]").astype(str)
    names = np.array(panel.entities)[panel.entity_R]
    return [(str(n), d, float(v[0]), float(v[1])) for n, d, v in zip(names, days, value_RF, strict=True)]


def test_an_outcome_is_a_row_of_its_own(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert rows(loaded) == [
        *(("a", "2022-01-31", -1.0, 0.1), ("a", "2022-02-28", 1.0, -1.0)),
        *(("b", "2022-01-31", -1.0, 0.2), ("b", "2022-02-28", 0.0, -1.0)),
        *(("c", "2022-01-31", -1.0, 0.3), ("c", "2022-02-28", 0.0, -1.0)),
        *(("d", "2022-01-31", -1.0, 0.4), ("d", "2022-02-28", -1.0, -1.0)),  # nothing is known of it
    ]
    assert loaded.everyone.number_NM[:, 0].tolist() == [40.0, 50.0, 60.0, 70.0]
    assert (loaded.as_of.text, loaded.checked.total, len(loaded.checked.rejected)) == ("2022-02-28", 4, 0)
    origins = event_origins(loaded.everyone, 1)
    assert [loaded.everyone.entities[n] for n in origins.entity_B] == ["a", "b", "c"]
    assert origins.event_B.tolist() == [1.0, 0.0, 0.0]


def test_a_date_before_the_outcome_does_not_see_it(tmp_path: Path) -> None:
    early = load(tmp_path, as_of="2022-02-27")
    assert [row[2] for row in rows(early)] == [-1.0] * 4
    assert load(tmp_path, TABLE.assign(default=[0, 1, 1, 1]), "2022-02-27").digest == early.digest


def test_new_clients_are_seen_as_of_their_own_time(tmp_path: Path) -> None:
    loaded = load(tmp_path, TABLE.assign(default=None))
    assert (loaded.as_of.text, len(rows(loaded)), dict(loaded.refused)) == ("2022-01-31", 4, {})


def test_a_table_of_several_times_or_without_an_event_is_refused(tmp_path: Path) -> None:
    twice = pd.concat([TABLE, TABLE.assign(month="2022-05-31")])
    with pytest.raises(InputError, match='one row for each client, and "a" has more: leave it out'):
        load(tmp_path, twice)
    with pytest.raises(InputError, match="rows that are all of one time, and these are of 4"):
        load(tmp_path, TABLE.assign(month=[f"2022-0{month}-28" for month in range(1, 5)]))
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    roles = {**ROLES, "event": None, "targets": "util", "observed": None}
    with pytest.raises(ConfigError, match="is for a table with an event"):
        load_panel(DataConfig(sample=None, path=str(tmp_path / "t.csv"), outcome_after=1, **roles))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("months", "horizon", "sentence"),
    [
        (
            None,
            1,
            "each client has one row, so that no row tells what came after it: add data.outcome_after=MONTHS",
        ),
        (
            12,
            3,
            "data.outcome_after= puts the outcome one step of the calendar ahead: add model.horizon=1",
        ),
    ],
)
def test_training_says_what_is_needed(
    months: int | None, horizon: int, sentence: str, tmp_path: Path
) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    cfg = RiskConfig(stage="train", data=_data(tmp_path, months))
    cfg.model.horizon = horizon
    record = open_run("risk", "train", str(tmp_path / "run"), "", 0)
    with record.log, pytest.raises((InputError, ConfigError)) as caught:
        train(cfg, record)
    assert caught.value.sentence.startswith(sentence)
