"""Real data as long tables in the contract's form: embedded in packages, or in the folder of real data.

Each sample says what it is, where it comes from and under which licence; nothing of it is copied here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from apps.risk.data.columns import Columns
from apps.risk.reasons import INPUTS
from core.data.paths import data_root
from core.text.nearest import did_you_mean
from core.text.quoting import shortened

DEFAULT = "markets"
_RETURNS = Columns(entity="asset", time="date", targets=("return",), observed=("range", "vix"))
_VALUES = Columns(entity="series", time="time", targets=("value",))
# order of the file, as Lai et al. 2018 (doi:10.1145/3209978.3210006) name the countries
_CURRENCIES = ("Australia", "Britain", "Canada", "Switzerland", "China", "Japan", "New Zealand", "Singapore")
_M4_TRAIN_END = np.datetime64("2018-01-01T00:00", "us")
# suffixes of repayment status, bill and payment → month of 2005, first to last
_UCI_MONTHS = {
    "2005-04-30": ("PAY_6", "BILL_AMT6", "PAY_AMT6"),
    "2005-05-31": ("PAY_5", "BILL_AMT5", "PAY_AMT5"),
    "2005-06-30": ("PAY_4", "BILL_AMT4", "PAY_AMT4"),
    "2005-07-31": ("PAY_3", "BILL_AMT3", "PAY_AMT3"),
    "2005-08-31": ("PAY_2", "BILL_AMT2", "PAY_AMT2"),
    "2005-09-30": ("PAY_0", "BILL_AMT1", "PAY_AMT1"),
}


@dataclass(frozen=True, eq=False)
class Sample:
    """A table with the roles of its columns, ready to be scored.

    table: long, one row for each entity and time. columns: what its columns are called. about, source, licence: what
    it holds, who published it, and under which terms it may be used. as_of: the last date before what its publisher
    holds out, if any.

    >>> from apps import risk
    >>> sample = risk.load_sample("markets")
    >>> sample.columns.entity, sample.columns.time, sample.as_of
    ('asset', 'date', None)
    >>> sample.table.columns.tolist()
    ['date', 'asset', 'return', 'range', 'vix']
    """

    name: str
    table: pd.DataFrame
    columns: Columns
    about: str
    source: str
    licence: str
    as_of: str | None = None


def load_sample(name: str) -> Sample:
    """Load a sample by name, one of SAMPLES; "markets" comes with the program.

    Raises InputError: sample_unknown, sample_package or sample_file where its data is not here.

    >>> from apps import risk
    >>> sample = risk.load_sample("markets")
    >>> sorted(sample.table["asset"].unique())
    ['Nasdaq', 'S&P 500', 'WTI']
    >>> sample.columns.targets
    ('return',)
    """
    if name not in SAMPLES:
        raise INPUTS("sample_unknown", name=shortened(name), hint=did_you_mean(name, SAMPLES))
    return SAMPLES[name]()


def load_markets() -> Sample:
    """S&P 500, Nasdaq and WTI oil: daily log returns in percent, 1986 to 2019, ragged.

    About 18,400 rows of 3 assets. return: of the adjusted close, for oil of the spot price (over days without a
    price, too). range: log of the day's high over its low in percent, of the two indices. vix: log of the VIX at
    the close, from 2014 on. Where one is not there it is missing.
    """
    vix = _dated("arch", "data/vix/vix.csv.gz")["vix"]
    parts = []
    for asset, folder in (("S&P 500", "sp500"), ("Nasdaq", "nasdaq")):
        prices = _dated("arch", f"data/{folder}/{folder}.csv.gz")
        spread = 100.0 * np.log(prices["High"] / prices["Low"])
        parts.append(_returns(asset, prices["Adj Close"]).assign(range=spread))
    oil = _dated("arch", "data/wti/wti.csv.gz")["DCOILWTICO"].dropna()
    parts.append(_returns("WTI", oil).assign(range=np.nan))
    table = pd.concat([part.assign(vix=np.log(vix).reindex(part.index)) for part in parts])
    return Sample(
        name="markets",
        table=_long(table),
        columns=_RETURNS,
        about="daily log returns in percent of S&P 500, Nasdaq (1999–2018) and WTI oil (1986–2019)",
        source="shipped with the Python package arch (arch.data.sp500, nasdaq, wti, vix; WTI from FRED)",
        licence="NCSA (arch)",
    )


def load_stocks() -> Sample:
    """Twenty US stocks: daily log returns in percent, 1990 to 2022, 8,312 days each, 166,240 rows."""
    prices = _dated("skfolio", "datasets/data/sp500_dataset.csv.gz", "%Y-%m-%d")
    table = pd.concat([_returns(str(asset), prices[asset]) for asset in prices.columns])
    return Sample(
        name="stocks",
        table=_long(table),
        columns=Columns(entity="asset", time="date", targets=("return",)),
        about="daily log returns in percent of 20 US stocks, 1990–2022",
        source="shipped with the Python package skfolio (sp500_dataset)",
        licence="BSD 3-Clause (skfolio)",
    )


def load_credit() -> Sample:
    """Credit-card clients in Taiwan: six months of 2005, and who defaulted in the seventh; 210,000 rows.

    30,000 clients × 7 months. status: months of delay (-2 no use, -1 paid in full, 0 revolving); bill and paid in
    Taiwan dollars; limit, age, sex, education, marriage do not change. default: known of October only, 22.1 %.
    """
    wide = pd.read_csv(_data_file("uci-credit-default.csv"))
    client = [f"{number:05d}" for number in range(1, len(wide) + 1)]
    fixed = {
        "client": client,
        **{name.lower(): wide[name] for name in ("SEX", "EDUCATION", "MARRIAGE", "AGE")},
        "limit": wide["LIMIT_BAL"],
    }
    parts = [
        pd.DataFrame(
            fixed
            | {
                "month": month,
                "status": wide[status],
                "bill": wide[bill],
                "paid": wide[paid],
                "default": np.nan,
            }
        )
        for month, (status, bill, paid) in _UCI_MONTHS.items()
    ]
    parts.append(
        pd.DataFrame(
            fixed
            | {
                "month": "2005-10-31",
                "status": np.nan,
                "bill": np.nan,
                "paid": np.nan,
                "default": wide["default"],
            }
        )
    )
    table = pd.concat(parts, ignore_index=True)
    return Sample(
        name="credit",
        table=table.assign(month=pd.to_datetime(table["month"])),
        columns=Columns(
            entity="client",
            time="month",
            targets=(),
            event="default",
            observed=("status", "bill", "paid"),
            statics=("sex", "education", "marriage"),
            static_numbers=("limit", "age"),
        ),
        about="30,000 credit-card clients, April to September 2005; default in October (22.1 %)",
        source="UCI, Default of credit card clients; Yeh & Lien 2009, doi:10.1016/j.eswa.2007.12.020",
        licence="CC BY 4.0",
        as_of="2005-09-30",
    )


def load_m4_hourly() -> Sample:
    """M4's 414 hourly series with the 48 hours held out; 373,372 rows.

    The files have no dates: here all series are known until the same hour (2018-01-01 00:00 by a clock of our
    own), and the hours held out follow it.
    """
    train = pd.read_csv(_data_file("M4Hourly-train.csv")).set_index("V1")
    test = pd.read_csv(_data_file("M4Hourly-test.csv")).set_index("V1")
    value = np.concatenate(
        [_to_the_right(train.to_numpy(dtype=np.float64)), test.to_numpy(np.float64)], axis=1
    )
    hours = np.arange(1 - train.shape[1], test.shape[1] + 1).astype("timedelta64[h]")
    known = ~np.isnan(value)
    row, column = np.nonzero(known)
    table = pd.DataFrame(
        {
            "series": train.index.to_numpy()[row],
            "time": (_M4_TRAIN_END + hours)[column],
            "value": value[known],
        }
    )
    return Sample(
        name="m4_hourly",
        table=table,
        columns=_VALUES,
        about="414 hourly series of the M4 competition, 700 or 960 hours and 48 held out",
        source="M4 competition; Makridakis et al. 2020, doi:10.1016/j.ijforecast.2019.04.014",
        licence="as published by the competition's organisers",
        as_of="2018-01-01T00:00",
    )


def load_exchange_rate() -> Sample:
    """Eight daily exchange rates to the US dollar, 7,588 days each, 60,704 rows.

    The file has no dates: here they are working days from 1990-01-01 on, as benchmarks take them.
    """
    wide = pd.read_csv(_data_file("exchange_rate.csv"), header=None)
    days = pd.bdate_range("1990-01-01", periods=len(wide))
    table = pd.concat(
        [
            pd.DataFrame({"series": name, "time": days, "value": wide[index]})
            for index, name in enumerate(_CURRENCIES)
        ],
        ignore_index=True,
    )
    return Sample(
        name="exchange_rate",
        table=table,
        columns=_VALUES,
        about="daily exchange rates of 8 countries to the US dollar, 1990–2016",
        source="Lai et al. 2018, doi:10.1145/3209978.3210006",
        licence="as published by its authors",
    )


SAMPLES: dict[str, Callable[[], Sample]] = {
    "markets": load_markets,
    "stocks": load_stocks,
    "credit": load_credit,
    "m4_hourly": load_m4_hourly,
    "exchange_rate": load_exchange_rate,
}


def _returns(asset: str, price: pd.Series) -> pd.DataFrame:
    change = 100.0 * np.log(price).diff()
    return pd.DataFrame({"asset": asset, "return": change}, index=price.index).iloc[1:]


def _long(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename_axis("date").reset_index()


def _to_the_right(value: np.ndarray) -> np.ndarray:
    """Move each row's values, which stand at its left, to its right end."""
    length = np.sum(~np.isnan(value), axis=1)
    index = np.arange(value.shape[1]) - (value.shape[1] - length)[:, None]
    moved = np.take_along_axis(value, np.maximum(index, 0), axis=1)
    return np.where(index >= 0, moved, np.nan)


def _dated(package: str, path: str, date_format: str = "%m/%d/%Y") -> pd.DataFrame:
    """Read a package's CSV by date; the package itself, which may be slow or want others, is not imported."""
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    files = [Path(folder) / path for folder in folders if (Path(folder) / path).exists()]
    if not files:
        raise INPUTS("sample_package", package=package)
    table = pd.read_csv(files[0], index_col="Date", na_values=["."])
    table.index = pd.to_datetime(table.index, format=date_format)
    return table


def _data_file(name: str) -> Path:
    root = data_root()
    path = None if root is None else root / "risk" / name
    if path is None or not path.exists():
        raise INPUTS("sample_file", name=name)
    return path
