"""Real samples: each passes the contract, has the shape its publisher says, and says where it comes from."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.data.contracts import check
from apps.risk.data.samples import DEFAULT, SAMPLES, Sample, load_sample
from core.errors import InputError

EMBEDDED = ("markets", "stocks")


def judge(sample: Sample, rows: int, entities: int) -> pd.DataFrame:
    checked = check(sample.table, sample.columns)
    assert len(checked.rejected) == 0
    assert len(checked.accepted) == len(sample.table) == rows
    assert checked.accepted[sample.columns.entity].nunique() == entities
    assert sample.about
    assert sample.source
    assert sample.licence
    return checked.accepted


def test_the_default_is_embedded_and_names_are_frozen() -> None:
    assert DEFAULT in EMBEDDED
    assert sorted(SAMPLES) == ["credit", "exchange_rate", "m4_hourly", "markets", "stocks"]


def test_markets_are_log_returns_in_percent() -> None:
    # rows of arch's files: S&P 500 and Nasdaq 5,031 prices each, WTI 8,611 of which 290 are missing
    table = judge(load_sample("markets"), 2 * 5030 + 8611 - 290 - 1, 3)
    by_asset = table.set_index(["asset", "date"])
    # closes of 2018-12-28 and 2018-12-31 in arch's sp500.csv.gz
    wanted = 100 * np.log(2506.850098 / 2485.739990)
    assert by_asset.loc[("S&P 500", "2018-12-31"), "return"] == pytest.approx(wanted, abs=1e-9)
    # 25.56 and 26 dollars on 1986-01-02 and 03
    assert by_asset.loc[("WTI", "1986-01-03"), "return"] == pytest.approx(100 * np.log(26 / 25.56), abs=1e-9)
    assert by_asset.loc["WTI", "range"].isna().all()
    assert (by_asset.loc["Nasdaq", "range"] > 0).all()
    assert by_asset.loc[("S&P 500", "2014-01-03"), "vix"] == pytest.approx(np.log(13.76))
    assert np.isnan(by_asset.loc[("S&P 500", "2014-01-02"), "vix"])


def test_twenty_stocks_come_without_the_packages_own_imports() -> None:
    if importlib.util.find_spec("skfolio") is None:
        with pytest.raises(InputError, match="pip install skfolio"):
            load_sample("stocks")
        return
    before = set(sys.modules)
    table = judge(load_sample("stocks"), 20 * 8312, 20)
    assert {name for name in set(sys.modules) - before if name.startswith(("skfolio", "plotly"))} == set()
    # the first two prices of AAPL in skfolio's sp500_dataset
    first = table[table["asset"] == "AAPL"].iloc[0]
    assert first["return"] == pytest.approx(100 * np.log(0.266 / 0.264))
    assert first["date"] == pd.Timestamp("1990-01-03")


@pytest.mark.realdata
def test_credit_clients_have_six_months_and_an_answer(real_data: Path) -> None:
    sample = load_sample("credit")
    table = judge(sample, 7 * 30_000, 30_000)
    answers = table.dropna(subset="default")
    assert set(answers["month"]) == {pd.Timestamp("2005-10-31")}
    assert answers["default"].sum() == 6636  # Yeh & Lien 2009
    # the file's first client: PAY_0 2 … PAY_6 -2, BILL_AMT1 3913, PAY_AMT2 689, limit 20,000, 24 years
    first = table[table["client"] == "00001"]
    assert first["status"].tolist()[:6] == [-2, -2, -1, -1, 2, 2]
    assert first["bill"].tolist()[:6] == [0, 0, 0, 689, 3102, 3913]
    assert first["paid"].tolist()[4:6] == [689, 0]
    assert set(first["limit"]) == {20000.0}
    assert set(first["education"]) == {"university"}
    early = check(sample.table, sample.columns, np.datetime64(sample.as_of or "", "us"))
    assert early.later == 30_000
    assert early.accepted["default"].isna().all()


@pytest.mark.realdata
def test_m4_series_are_known_until_one_hour(real_data: Path) -> None:
    sample = load_sample("m4_hourly")
    table = judge(sample, 245 * 960 + 169 * 700 + 414 * 48, 414)
    date = pd.Timestamp(sample.as_of)
    held_out = table[table["time"] > date].groupby("series", observed=True).size()
    assert (held_out == 48).all()
    assert parse_as_of(str(sample.as_of)).wall == date, "that hour, not the end of its day"
    first = table[table["series"] == "H1"].set_index("time")["value"]
    assert (first.iloc[0], first[date]) == (605, 684)  # the file's first and 700th value of H1
    assert first[date + pd.Timedelta(hours=1)] == 619  # the first one held out
    assert first.index.to_series().diff().dropna().eq(pd.Timedelta(hours=1)).all()


@pytest.mark.realdata
def test_exchange_rates_follow_the_files_order(real_data: Path) -> None:
    table = judge(load_sample("exchange_rate"), 8 * 7588, 8)
    first = table.groupby("series", observed=True)["value"].first()
    assert first.to_dict() == pytest.approx(
        {
            "Australia": 0.7855,
            "Britain": 1.611,
            "Canada": 0.861698,
            "Switzerland": 0.634196,
            "China": 0.211242,
            "Japan": 0.006838,
            "New Zealand": 0.593,
            "Singapore": 0.525486,
        }
    )


def test_an_unknown_sample_names_the_nearest() -> None:
    with pytest.raises(InputError, match='there is no sample "market": did you mean "markets"'):
        load_sample("market")


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - set(EMBEDDED)))
def test_missing_data_names_the_cure(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    with pytest.raises(
        InputError, match=r"this sample needs risk/\S+\.csv: set \$TRIPTYCH_DATA to the folder"
    ):
        load_sample(name)


def test_a_missing_package_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, package in (("markets", "arch"), ("stocks", "skfolio")):
        with pytest.raises(InputError, match=f"comes with the package {package}: pip install {package}"):
            load_sample(name)
