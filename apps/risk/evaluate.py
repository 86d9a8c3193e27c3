"""stage=evaluate: all models side by side; the champion is chosen on development dates, the test is looked at once.

The rules: apps.risk.evaluation.target_evaluation and apps.risk.evaluation.event_evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.risk.config import RiskConfig
from apps.risk.data.comparable import comparable
from apps.risk.data.history import first_date
from apps.risk.data.load import Loaded, load_panel
from apps.risk.data.set_aside import report_rejected
from apps.risk.evaluation.event_evaluation import events, least_log_loss
from apps.risk.evaluation.seen_in_training import warn_of_seen
from apps.risk.evaluation.target_evaluation import chosen, targets
from apps.risk.models.baselines import BASELINES
from apps.risk.models.candidates import candidates
from apps.risk.models.champions import CHAMPIONS
from apps.risk.models.description import Description
from apps.risk.models.interface import EventModel, TargetModel
from apps.risk.models.risk_model import DEFAULT, RiskModel, load_event
from apps.risk.models.suited import require_group_used, require_suited
from apps.risk.report import page
from apps.risk.report.evaluation_page import event_page, targets_page
from apps.risk.report.input_notes import input_notes, unseen_notes
from core.errors import ExitCode
from core.reports.page import Page
from core.runs.files import write_json, write_text
from core.runs.folder import Run
from core.terminal.notes import print_note


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation shows.

    entities: how many can be forecast. metrics: the content of metrics.json, figures by label, part (development,
    test) and model. champions: label → the champion and the rule that chose it, as in champion.json. page: the report.
    """

    entities: int
    metrics: dict[str, Any]
    champions: dict[str, dict[str, Any]]
    page: Page

    @property
    def exit_code(self) -> ExitCode:
        """4 where a row or an entity was set aside, else 0."""
        refused = self.metrics["rejected_rows"] or self.metrics["refused"]
        return ExitCode.QUARANTINED if refused else ExitCode.DONE


def run(cfg: RiskConfig, run: Run) -> int:
    """Write metrics.json, champion.json and report.html to `output`; the same call again writes the same bytes.

    Returns 4 where a row or an entity was set aside, else 0. Raises as `evaluate` does.
    """
    result = evaluate(cfg, run)
    output = Path(str(cfg.output))
    write_json(output / "metrics.json", result.metrics)
    write_json(output / CHAMPIONS, result.champions)
    write_text(output / "report.html", result.page.render())
    run.write_metrics({**result.metrics, "champion": result.champions})
    run.log.event("evaluated", items=result.entities, count=len(result.champions))
    return result.exit_code


def evaluate(cfg: RiskConfig, run: Run) -> Evaluation:
    """Judge the models of the weights folder and all baselines on the table that the config names; nothing is written.

    run: takes notes on the input, for the terminal and the log. Raises ConfigError and InputError, in one line.
    """
    folder = None if cfg.weights is None else Path(cfg.weights)
    model = RiskModel.from_pretrained(folder)
    described = model.described
    loaded = load_panel(cfg.data, cfg.as_of, described.categories)
    report_rejected(loaded.checked, loaded.columns, cfg.data.max_rejected, run)
    require_suited(cfg.model.name, loaded.columns)
    require_group_used(loaded.columns, [model.targets])
    model.require(loaded.columns)
    seen: dict[str, str] = {}
    models: dict[str, TargetModel] = {}
    event_models: dict[str, EventModel] = {}
    if loaded.columns.targets:
        first = first_date(loaded.panel, 2 * cfg.backtest.days)
        seen |= warn_of_seen(described, "targets", first, run.log)
        names = [*described.names("targets"), *BASELINES]
        models = candidates(names, folder, cfg.model.device, cfg.backtest.refit_every)
        for note in input_notes(loaded, models.values()):
            print_note(note)
    if loaded.columns.event:
        seen |= warn_of_seen(described, "event", loaded.as_of.wall, run.log)
        event_models = {name: _event_model(folder, described, name) for name in described.names("event")}
        for note in unseen_notes(loaded.unseen, ", ".join(event_models)):
            print_note(note)
    horizon = 1 if described.event is None else described.event.horizon
    return judge_models(cfg, loaded, models, event_models, horizon, seen)


def judge_models(
    cfg: RiskConfig,
    loaded: Loaded,
    models: Mapping[str, TargetModel],
    event_models: Mapping[str, EventModel],
    horizon: int,
    seen: Mapping[str, str],
) -> Evaluation:
    """Judge models on development dates, where the champion of each label is chosen, and on the test.

    models, event_models: by name, of the targets and the event of a table. horizon: of the event, in steps. seen: of
    `warn_of_seen`, shown on the page. Raises InputError where there is too little past, or one outcome only.
    """
    metrics: dict[str, Any] = {}
    champions: dict[str, dict[str, Any]] = {}
    pages: list[Page] = []
    refused: Counter[str] = Counter()
    for label in loaded.columns.targets:
        panels, aside = comparable(loaded, label, 2 * cfg.backtest.days)
        refused.update(aside.values())
        parts, judged = targets(cfg, panels, label, models)
        metrics[label] = parts._asdict()
        champions[label] = chosen(parts.development)
        pages.append(targets_page(label, parts, champions[label], judged, seen.get("targets")))
    if loaded.columns.event:
        label = loaded.columns.event
        evaluated = events(cfg, loaded, event_models, horizon)
        metrics[label] = {**evaluated.parts._asdict(), "stability": evaluated.stability}
        champions[label] = least_log_loss(evaluated.parts.development)
        pages.append(event_page(label, champions[label], evaluated, seen.get("event")))
    content = {
        "as_of": loaded.as_of.text,
        "input_digest": loaded.digest,
        "labels": metrics,
        "refused": dict(sorted(refused.items())),
        "rejected_rows": len(loaded.checked.rejected),
        "seed": cfg.seed,
        "seen_in_training": dict(seen),
    }
    return Evaluation(len(loaded.panel.entities), content, champions, page.joined(pages))


def _event_model(folder: Path | None, described: Description, name: str) -> EventModel:
    model = load_event(folder or DEFAULT, described.event, name)
    assert model is not None  # the folder's description names it
    return model
