"""stage=evaluate: all models side by side; the champion is chosen on development dates, the test is looked at once.

The rules: apps.risk.evaluation.target_evaluation and apps.risk.evaluation.event_evaluation.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from apps.risk.config import RiskConfig
from apps.risk.data.comparable import comparable
from apps.risk.data.history import first_date
from apps.risk.data.load import load_panel
from apps.risk.data.set_aside import report_rejected
from apps.risk.evaluation.event_evaluation import events, least_log_loss
from apps.risk.evaluation.seen_in_training import warn_of_seen
from apps.risk.evaluation.target_evaluation import chosen, targets
from apps.risk.models.baselines import BASELINES
from apps.risk.models.candidates import candidates, trained_names
from apps.risk.models.champions import CHAMPIONS
from apps.risk.models.interface import EventModel
from apps.risk.models.risk_model import RiskModel
from apps.risk.models.suited import require_group_used, require_suited
from apps.risk.report import page
from apps.risk.report.evaluation_page import event_page, targets_page
from apps.risk.report.input_notes import input_notes, unseen_notes
from core.errors import ExitCode
from core.runs.files import write_json, write_text
from core.runs.folder import Run
from core.terminal.notes import print_note


def run(cfg: RiskConfig, run: Run) -> int:
    """Write metrics.json, champion.json and report.html to `output`; the same call again writes the same bytes.

    Models: those of the weights folder and all baselines. Returns 4 where a row or an entity was set aside, else 0.
    Raises ConfigError and InputError, in one line.
    """
    folder = None if cfg.weights is None else Path(cfg.weights)
    model = RiskModel.from_pretrained(folder)
    described = model.described
    loaded = load_panel(cfg.data, cfg.as_of, (described.get("event") or {}).get("categories"))
    report_rejected(loaded.checked, loaded.columns, cfg.data.max_rejected, run)
    require_suited(cfg.model.name, loaded.columns)
    require_group_used(loaded.columns, [model.targets])
    model.require(loaded.columns)
    output, metrics, champions, pages = Path(str(cfg.output)), {}, {}, []
    refused: Counter[str] = Counter()
    seen: dict[str, str] = {}
    if loaded.columns.targets:
        first = first_date(loaded.panel, 2 * cfg.backtest.days)
        seen |= warn_of_seen(described, "targets", first, run.log)
    for label in loaded.columns.targets:
        names = [*trained_names(described, "targets"), *BASELINES]
        models = candidates(names, folder, cfg.model.device, cfg.backtest.refit_every)
        if label == loaded.columns.targets[0]:
            for note in input_notes(loaded, models.values()):
                print_note(note)
        panels, aside = comparable(loaded, label, 2 * cfg.backtest.days)
        refused.update(aside.values())
        parts, judged = targets(cfg, panels, label, models)
        metrics[label] = parts._asdict()
        champions[label] = chosen(parts.development)
        pages.append(targets_page(label, parts, champions[label], judged, seen.get("targets")))
    if loaded.columns.event:
        label = loaded.columns.event
        seen |= warn_of_seen(described, "event", loaded.as_of.wall, run.log)
        models_of_event = {name: _event_model(folder, name) for name in trained_names(described, "event")}
        for note in unseen_notes(loaded.unseen, ", ".join(models_of_event)):
            print_note(note)
        found = events(cfg, loaded, models_of_event, int((described.get("event") or {}).get("horizon", 1)))
        metrics[label] = {**found.parts._asdict(), "stability": found.stability}
        champions[label] = least_log_loss(found.parts.development)
        pages.append(event_page(label, champions[label], found, seen.get("event")))
    rejected = len(loaded.checked.rejected)
    told = {
        "as_of": loaded.as_of.text,
        "input_digest": loaded.digest,
        "labels": metrics,
        "refused": dict(sorted(refused.items())),
        "rejected_rows": rejected,
        "seed": cfg.seed,
        "seen_in_training": seen,
    }
    write_json(output / "metrics.json", told)
    write_json(output / CHAMPIONS, champions)
    write_text(output / "report.html", page.joined(pages).render())
    run.write_metrics({**told, "champion": champions})
    run.log.event("evaluated", items=len(loaded.panel.entities), count=len(pages))
    return ExitCode.QUARANTINED if rejected or refused else ExitCode.DONE


def _event_model(folder: Path | None, name: str) -> EventModel:
    model = RiskModel.from_pretrained(folder, event=name).event
    assert model is not None  # the folder's description names it
    return model
