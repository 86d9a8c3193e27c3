"""The app's part of the demo: score real markets and a generated loan book, walk a year of the S&P 500, show it all.

Legend: D days, H steps ahead, Q levels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from apps.risk.backtest import walk
from apps.risk.config import BacktestConfig, DataConfig, ModelConfig, RiskConfig
from apps.risk.data.history import history_NT, steps_known
from apps.risk.data.load import load_panel
from apps.risk.data.panel import Panel, by_calendar, take
from apps.risk.models.candidates import candidates
from apps.risk.models.risk_model import DEFAULT, EMBEDDED, RiskModel
from apps.risk.models.walking import Asked, outcomes
from apps.risk.report import page
from apps.risk.score import score
from apps.risk.scoring.partition import read_batches
from apps.risk.scoring.scores import LEVELS, QUANTILES
from core.reports.page import Block, Figure, Gallery, Links, PageSection, Table, Text
from core.runs.folder import Run
from core.text.figures import DASH

AS_OF = "2018-12-31"  # the last day on which all three markets have a return
ASSET = "S&P 500"
LOANS = EMBEDDED / "loan_book"
DAYS = 250
SHOWN_DAYS = 60
CLIENTS = 10
LEVEL = 0.01
HORIZON = 10
_NEVER = 10**6  # steps: no GARCH is fitted anew within the walk


def section(folder: Path, run: Run) -> PageSection:
    """Run the app below `folder` and return its section of the demo's page, whose links start at `folder`'s parent."""
    markets, loans = folder / "markets", folder / "loans"
    settings = ModelConfig(horizon=HORIZON, device="cpu")
    book = DataConfig(sample="loan_book")
    days = [
        score(cfg, run).folder
        for cfg in (
            RiskConfig("score", as_of=AS_OF, output=str(markets), model=settings),
            RiskConfig("score", output=str(loans), weights=str(LOANS), data=book),
        )
    ]
    panel = load_panel(DataConfig(), AS_OF).panel
    fans = fans_of(panel, rows_of(days[0]))
    clients = clients_of(rows_of(days[1]))
    blocks: list[Block] = [
        Text(
            f"Three real markets as of {AS_OF}, {HORIZON} days ahead by {_champion()}: what is known, and within which "
            "bands it may go on. Nothing after that date was looked at."
        ),
        Gallery(fans),
        *walked(panel),
        page.clients_table(
            clients[:CLIENTS],
            f"The {CLIENTS} of {len(clients):,} borrowers of a generated loan book most likely to default, and why.",
        ),
        Links(
            [
                (
                    f"{name} (Parquet)",
                    f"{folder.name}/{day.relative_to(folder).as_posix()}/part-00000.parquet",
                )
                for name, day in zip(("Scores of the markets", "Scores of the loan book"), days, strict=True)
            ]
        ),
    ]
    return PageSection("Market and credit risk", blocks)


def rows_of(day: Path) -> pd.DataFrame:
    """Read the scores of one date back."""
    rows: pd.DataFrame = pa.Table.from_batches(list(read_batches(day))).to_pandas()
    return rows


def fans_of(panel: Panel, rows: pd.DataFrame) -> list[Figure]:
    """Return a fan of each entity that has scores: its last values, and the quantiles of each step ahead."""
    label = panel.columns.targets[0]
    figures = {}
    for part in by_calendar(panel):
        past_NT = history_NT(part, label, SHOWN_DAYS)
        end = steps_known(part)
        time_T = part.calendar_T[end - past_NT.shape[1] : end]
        for name, past_T in zip(part.entities, past_NT, strict=True):
            scored = (rows["kind"] == "entity") & (rows["entity"] == name) & (rows["step"] > 0)
            own = rows[scored].sort_values("step")
            if len(own):
                quantile_HQ = own[list(QUANTILES)].to_numpy()
                ahead_H = own["time"].to_numpy().astype("datetime64[us]")
                figures[name] = page.fan(name, time_T, past_T, ahead_H, quantile_HQ, LEVELS)
    return [figures[name] for name in panel.entities if name in figures]


def clients_of(rows: pd.DataFrame) -> list[page.Client]:
    """Return all clients with a PD, the riskiest first."""
    known = rows[rows["pd"].notna()].sort_values(["pd", "entity"], ascending=[False, True])
    return [page.Client(row.entity, row.pd, row.drivers, row.alert) for row in known.itertuples()]


def walked(panel: Panel) -> list[Figure | Table]:
    """Walk the last DAYS of one index, the champion beside the baselines: a picture and a table."""
    label = panel.columns.targets[0]
    (alone,) = by_calendar(take(panel, np.array([name == ASSET for name in panel.entities])))
    champion = RiskModel.from_pretrained(DEFAULT).targets
    assert champion is not None  # the embedded folder forecasts targets
    names = [champion.name, "gjr_garch", "filtered_historical_simulation", "historical_simulation"]
    models = candidates(list(dict.fromkeys(names)), DEFAULT, "cpu", every=_NEVER)
    settings = BacktestConfig(days=DAYS, models=list(models))
    cfg = RiskConfig("backtest", output="", model=ModelConfig(horizon=1), backtest=settings)
    judged, walks = walk(cfg, alone, label, models)
    end = steps_known(alone)
    level = [0.01, 0.025, 0.05].index(LEVEL)
    figure = page.walk(
        f"{ASSET}: VaR of each day, forecast the day before by {page.words(champion.name)}",
        alone.calendar_T[end - DAYS : end],
        outcomes(alone, label, DAYS)[0],
        walks[champion.name].var_NDL[0, :, level],
        LEVEL,
    )
    rows = [row for row in judged[Asked("entity", 1)].rows if row.figures.level == LEVEL]
    caption = (
        f"{ASSET}, {DAYS} days, VaR at {100 * LEVEL:g} %. Mean loss with a 95 % interval over blocks of days; p-values "
        "exact or simulated: below 0.05 the days below the VaR are too many, too few, foreseeable, or too deep."
    )
    return [figure, page.series_table(rows, caption)]


def _champion() -> str:
    targets = RiskModel.from_pretrained(DEFAULT).targets
    return page.words(targets.name) if targets is not None else DASH
