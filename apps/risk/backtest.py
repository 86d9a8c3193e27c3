"""stage=backtest: models walk through the last dates, each forecast from what came before it alone, and are judged.

One day ahead of single entities by each model's own walk; portfolios and the sum over the horizon from joint paths,
begun anew every day, so that these outcomes overlap: losses count all of them, tests those that follow each other.
Legend: N entities, P portfolios, D days.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from apps.risk.config import RiskConfig
from apps.risk.data.comparable import FEWEST_BEFORE, comparable, whole
from apps.risk.data.history import first_date
from apps.risk.data.holdings import Holdings, read_holdings
from apps.risk.data.load import Loaded, load_panel
from apps.risk.data.panel import Panel
from apps.risk.data.set_aside import report_rejected
from apps.risk.evaluation.judged import COLUMNS, Judged, Row, cells, judge, overall
from apps.risk.evaluation.seen_in_training import warn_of_seen
from apps.risk.metrics.tail_figures import TailFigures
from apps.risk.models.baselines import BASELINES
from apps.risk.models.candidates import candidates
from apps.risk.models.garch import Walk
from apps.risk.models.interface import TargetModel
from apps.risk.models.paths import PATHS
from apps.risk.models.portfolio_calendars import Share, divide
from apps.risk.models.portfolio_sum import EQUAL, PortfolioSum
from apps.risk.models.risk_model import describe
from apps.risk.models.suited import require_group_used, require_suited
from apps.risk.models.walking import Asked, first_day, held, joined, outcomes, walk_days, walk_paths
from apps.risk.reasons import INPUTS
from apps.risk.report import page
from apps.risk.report.backtest_page import backtest_page
from apps.risk.report.input_notes import input_notes
from core.errors import ExitCode
from core.reports.page import Page
from core.runs.files import write_csv, write_json, write_text
from core.runs.folder import Run
from core.terminal.notes import print_note

ByQuestion = dict[Asked, Judged]


class Walked(NamedTuple):
    """Walks of one calendar by model, what came, (N, D), and the names of the N entities or portfolios."""

    walks: dict[str, Walk]
    outcome_ND: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Backtest:
    """What a backtest shows.

    metrics: the content of metrics.json, its figures by target, kind of series and horizon, and model. rows: those of
    backtest.csv, "target" and the columns of `judged.COLUMNS`. page: the report.
    """

    metrics: dict[str, Any]
    rows: list[list[Any]]
    page: Page

    @property
    def exit_code(self) -> ExitCode:
        """4 where a row or an entity was set aside, else 0."""
        refused = self.metrics["rejected_rows"] or self.metrics["refused"]
        return ExitCode.QUARANTINED if refused else ExitCode.DONE


def run(cfg: RiskConfig, run: Run) -> int:
    """Write backtest.csv, metrics.json and report.html to `output`; the same call again writes the same bytes.

    Returns 4 where a row or an entity was set aside, else 0. Raises as `backtest` does.
    """
    result = backtest(cfg, run)
    output = Path(str(cfg.output))
    write_csv(output / "backtest.csv", ("target", *COLUMNS), result.rows)
    write_json(output / "metrics.json", result.metrics)
    write_text(output / "report.html", result.page.render())
    run.write_metrics(result.metrics)
    run.log.event(
        "evaluated",
        items=len(result.rows),
        count=len(set(cfg.backtest.models)),
        name="days",
        value=cfg.backtest.days,
    )
    return result.exit_code


def backtest(cfg: RiskConfig, run: Run) -> Backtest:
    """Walk the models that the config names through the last dates of its table, and judge them; nothing is written.

    run: takes notes on the input, for the terminal and the log. Raises ConfigError and InputError, in one line:
    backtest_event for a table without targets, backtest_short or backtest_empty where there is too little past.
    """
    folder = None if cfg.weights is None else Path(cfg.weights)
    models = candidates(cfg.backtest.models, folder, cfg.model.device, cfg.backtest.refit_every)
    loaded = load_panel(cfg.data, cfg.as_of)
    report_rejected(loaded.checked, loaded.columns, cfg.data.max_rejected, run)
    if not loaded.columns.targets:
        raise INPUTS("backtest_event")
    require_suited(cfg.model.name, loaded.columns)
    require_group_used(loaded.columns, models.values())
    for note in input_notes(loaded, models.values()):
        print_note(note)
    seen: dict[str, str] = {}
    if not set(cfg.backtest.models) <= set(BASELINES):
        first = first_date(loaded.panel, cfg.backtest.days)
        seen = warn_of_seen(describe(folder), "targets", first, run.log)
    holdings = read_holdings(Path(cfg.score.portfolios)) if cfg.score.portfolios is not None else None
    return walk_table(cfg, loaded, models, holdings, seen)


def walk_table(
    cfg: RiskConfig,
    loaded: Loaded,
    models: Mapping[str, TargetModel],
    holdings: Holdings | None,
    seen: Mapping[str, str],
) -> Backtest:
    """Walk all models through the last `cfg.backtest.days` dates of a table's targets, and judge them.

    holdings: portfolios; None is one of equal weights. seen: of `warn_of_seen`, shown on the page. Raises InputError,
    backtest_short or backtest_empty, where there is too little past to walk through.
    """
    figures, rows, pages = {}, [], []
    refused: Counter[str] = Counter()
    for label in loaded.columns.targets:
        panels, aside = comparable(loaded, label, cfg.backtest.days)
        divided = divide(whole(panels, loaded, label), holdings)
        walked = [walk_calendar(cfg, panel, label, models, divided.of(panel)) for panel in panels]
        for share in divided.mixed:
            if share.panel.axis.known >= cfg.backtest.days + FEWEST_BEFORE:
                walked.append(walk_calendar(cfg, share.panel, label, models, [share], entities=False))
            else:
                divided.refused.append((PortfolioSum(share.holdings, ()).names, "backtest_short"))
        judged = judged_of(walked, cfg.seed)
        figures[label] = {
            f"{asked.kind}_{asked.steps}": {name: overall(one, name, cfg.seed) for name in models}
            for asked, one in judged.items()
        }
        rows += [[label, *cells(row)] for one in judged.values() for row in one.rows]
        rows += [[label, *cells(_without_forecast(name, code))] for name, code in sorted(aside.items())]
        rows += [
            [label, *cells(_without_forecast(name, code, "portfolio"))]
            for names, code in divided.refused
            for name in names
        ]
        shown = walked[0][Asked("entity", 1)].walks
        pages.append(
            backtest_page(
                panels, label, judged, figures[label], shown, cfg.backtest.days, seen.get("targets")
            )
        )
        refused = refused or Counter(aside.values())
    metrics = {
        **_protocol(cfg, loaded, models),
        "targets": figures,
        "rejected_rows": len(loaded.checked.rejected),
        "refused": dict(sorted(refused.items())),
        "seen_in_training": dict(seen),
    }
    return Backtest(metrics, rows, page.joined(pages))


def walk(
    cfg: RiskConfig, panel: Panel, label: str, models: Mapping[str, TargetModel]
) -> tuple[ByQuestion, dict[str, Walk]]:
    """Return the figures of a panel of one calendar, and the one-day walks of its entities.

    Of entities one day ahead, of one portfolio of equal weights where there are several, and of the horizon.
    """
    walked = walk_calendar(cfg, panel, label, models, divide(panel, None).own)
    return judged_of([walked], cfg.seed), walked[Asked("entity", 1)].walks


def walk_calendar(
    cfg: RiskConfig,
    panel: Panel,
    label: str,
    models: Mapping[str, TargetModel],
    shares: Sequence[Share],
    *,
    entities: bool = True,
) -> dict[Asked, Walked]:
    """Walk a panel of one calendar and portfolios of its series. entities: whether the series themselves are asked."""
    days, horizon = cfg.backtest.days, cfg.model.horizon
    first_day(panel, days)  # refused before the work, not after it
    names, weight_PN = portfolios(shares, panel)
    steps = (1,) if horizon == 1 else (1, horizon)
    asked = [Asked("entity", step) for step in steps] if entities else []
    asked += [Asked("portfolio", step) for step in steps] if names else []
    by_asked: dict[Asked, dict[str, Walk]] = {one: {} for one in asked}
    for name, model in models.items():
        if len(asked) > 1 or not entities:
            far = walk_paths(
                model,
                panel,
                label,
                days,
                steps,
                weight_PN,
                cfg.backtest.refit_every,
                cfg.model.paths or PATHS,
                cfg.seed,
            )
            for one in asked:
                by_asked[one][name] = far[one]
        if entities:
            by_asked[asked[0]][name] = walk_days(model, panel, label, days)
    walked = {}
    for one, walks in by_asked.items():
        outcome_ND = outcomes(panel, label, days, one.steps)
        if one.kind == "portfolio":
            outcome_ND = held(outcome_ND, weight_PN)
        walked[one] = Walked(walks, outcome_ND, panel.entities if one.kind == "entity" else names)
    return walked


def judged_of(walked: Sequence[Mapping[Asked, Walked]], seed: int) -> ByQuestion:
    """Judge the walks of one or several calendars together; day d is that of each as far before its end."""
    judged = {}
    for one in sorted(
        {asked for part in walked for asked in part}, key=lambda asked: (asked.kind, asked.steps)
    ):
        parts = [part[one] for part in walked if one in part]
        walks = {name: joined([part.walks[name] for part in parts]) for name in parts[0].walks}
        names = tuple(name for part in parts for name in part.names)
        judged[one] = judge(walks, np.concatenate([part.outcome_ND for part in parts]), names, one, seed)
    return judged


def portfolios(shares: Sequence[Share], panel: Panel) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names and weights, (P, N), of the portfolios that hold nothing but series of a panel.

    One of equal weights is none where there is one series alone.
    """
    N = len(panel.entities)
    names: list[str] = []
    weights = [np.zeros((0, N))]
    for holdings in (share.holdings for share in shares):
        if holdings is not None:
            whole_P = ~holdings.lacks(panel.entities)
            names += [name for name, is_whole in zip(holdings.portfolios, whole_P, strict=True) if is_whole]
            weights.append(holdings.weight_PN(panel.entities)[whole_P])
        elif N > 1:
            names.append(EQUAL)
            weights.append(np.full((1, N), 1.0 / N))
    return tuple(names), np.concatenate(weights)


def _protocol(cfg: RiskConfig, loaded: Loaded, models: Mapping[str, TargetModel]) -> dict[str, Any]:
    return {
        "as_of": loaded.as_of.text,
        "days": cfg.backtest.days,
        "horizon": cfg.model.horizon,
        "refit_every": cfg.backtest.refit_every,
        "paths": cfg.model.paths or PATHS,
        "seed": cfg.seed,
        "models": list(models),
        "input_digest": loaded.digest,
        # values may have been restated since: then a walk sees the last version of each
        "restated_values_seen": loaded.columns.known_at is not None,
    }


def _without_forecast(name: str, code: str, kind: str = "entity") -> Row:
    return Row("", kind, name, 0, 0, code, dataclasses.replace(TailFigures(level=math.nan)))
