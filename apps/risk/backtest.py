"""stage=backtest: models walk through the last dates, each forecast from what came before it alone, and are judged.

One day ahead of single entities by each model's own walk; portfolios and the sum over the horizon from joint paths,
begun anew every day, so that these outcomes overlap: losses count all of them, tests those that follow each other.
Legend: N entities, P portfolios, D days.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from apps.risk.config import RiskConfig
from apps.risk.data.comparable import comparable
from apps.risk.data.history import last_dates
from apps.risk.data.holdings import read_holdings
from apps.risk.data.load import Loaded, load_panel
from apps.risk.data.panel import Panel
from apps.risk.data.set_aside import report_rejected
from apps.risk.metrics.tail_figures import TailFigures
from apps.risk.models.baselines import BASELINES
from apps.risk.models.candidates import candidates
from apps.risk.models.garch import Walk
from apps.risk.models.interface import TargetModel
from apps.risk.models.paths import PATHS
from apps.risk.models.portfolio_sum import EQUAL
from apps.risk.models.risk_model import describe
from apps.risk.models.suited import require_group_used, require_suited
from apps.risk.models.walking import Asked, first_day, held, outcomes, walk_days, walk_paths
from apps.risk.report import page
from apps.risk.report.backtest_page import backtest_page
from apps.risk.report.input_notes import input_notes
from apps.risk.report.judged import COLUMNS, Judged, Row, cells, judge, overall
from apps.risk.report.seen_in_training import warn_of_seen
from core.errors import ExitCode, InputError
from core.runs.files import write_csv, write_json, write_text
from core.runs.folder import Run
from core.terminal import print_note

Found = dict[Asked, Judged]


def run(cfg: RiskConfig, run: Run) -> int:
    """Write backtest.csv, metrics.json and report.html to `output`; the same call again writes the same bytes.

    Returns 4 where a row or an entity was set aside, else 0. Raises ConfigError and InputError, in one line.
    """
    folder = None if cfg.weights is None else Path(cfg.weights)
    models = candidates(cfg.backtest.models, folder, cfg.model.device, cfg.backtest.refit_every)
    loaded = load_panel(cfg.data, cfg.as_of)
    report_rejected(loaded.checked, loaded.columns, cfg.data.max_rejected, run)
    if not loaded.columns.targets:
        raise InputError(
            "backtest_event",
            "this table has an event and no target: stage=evaluate judges models of an event, stage=backtest VaR",
        )
    require_suited(cfg.model.name, loaded.columns)
    require_group_used(loaded.columns, models.values())
    for note in input_notes(loaded, models.values()):
        print_note(note)
    seen: dict[str, str] = {}
    if not set(cfg.backtest.models) <= set(BASELINES):
        first = last_dates(loaded.panel, cfg.backtest.days)[0]
        seen = warn_of_seen(describe(folder), "targets", first, run.log)
    output = Path(str(cfg.output))
    found, rows, pages = {}, [], []
    for label in loaded.columns.targets:
        panel, aside = comparable(loaded, label)
        judged, walks = walk(cfg, panel, label, models)
        found[label] = {
            f"{asked.kind}_{asked.steps}": {name: overall(one, name, cfg.seed) for name in models}
            for asked, one in judged.items()
        }
        rows += [[label, *cells(row)] for one in judged.values() for row in one.rows]
        rows += [[label, *cells(_silent(name, code))] for name, code in sorted(aside.items())]
        pages.append(
            backtest_page(panel, label, judged, found[label], walks, cfg.backtest.days, seen.get("targets"))
        )
    rejected = len(loaded.checked.rejected)
    aside = comparable(loaded, loaded.columns.targets[0])[1]
    metrics = {**_protocol(cfg, loaded, models), "targets": found, "rejected_rows": rejected}
    metrics["refused"] = dict(sorted(Counter(aside.values()).items()))
    metrics["seen_in_training"] = seen
    write_csv(output / "backtest.csv", ("target", *COLUMNS), rows)
    write_json(output / "metrics.json", metrics)
    write_text(output / "report.html", page.joined(pages).render())
    run.write_metrics(metrics)
    run.log.event("evaluated", items=len(rows), count=len(models), name="days", value=cfg.backtest.days)
    return ExitCode.QUARANTINED if rejected or aside else ExitCode.DONE


def walk(
    cfg: RiskConfig, panel: Panel, label: str, models: Mapping[str, TargetModel]
) -> tuple[Found, dict[str, Walk]]:
    """Return what was found of entities one day ahead, of portfolios and of the horizon; and the one-day walks."""
    days, horizon = cfg.backtest.days, cfg.model.horizon
    first_day(panel, days)  # refused before the work, not after it
    names, weight_PN = portfolios(cfg, panel)
    steps = (1,) if horizon == 1 else (1, horizon)
    asked = [Asked("entity", step) for step in steps]
    asked += [Asked("portfolio", step) for step in steps] if names else []
    by_asked: dict[Asked, dict[str, Walk]] = {one: {} for one in asked}
    for name, model in models.items():
        at_once = walk_days(model, panel, label, days)
        if len(asked) > 1:
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
        by_asked[asked[0]][name] = at_once
    found = {}
    for one, walks in by_asked.items():
        outcome_ND = outcomes(panel, label, days, one.steps)
        if one.kind == "portfolio":
            outcome_ND = held(outcome_ND, weight_PN)
        whose = panel.entities if one.kind == "entity" else names
        found[one] = judge(walks, outcome_ND, whose, one, cfg.seed)
    return found, by_asked[asked[0]]


def portfolios(cfg: RiskConfig, panel: Panel) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names and weights, (P, N): those of score.portfolios, else one of equal weights; none of one entity.

    A portfolio that holds what cannot be walked is left out. Raises InputError for a file that cannot be used.
    """
    N = len(panel.entities)
    if cfg.score.portfolios is not None:
        holdings = read_holdings(Path(cfg.score.portfolios))
        whole_P = ~holdings.lacks(panel.entities)
        names = [name for name, whole in zip(holdings.portfolios, whole_P, strict=True) if whole]
        return tuple(names), holdings.weight_PN(panel.entities)[whole_P]
    return ((EQUAL,), np.full((1, N), 1.0 / N)) if N > 1 else ((), np.zeros((0, N)))


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


def _silent(name: str, code: str) -> Row:
    return Row("", "entity", name, 0, 0, code, dataclasses.replace(TailFigures(level=math.nan)))
