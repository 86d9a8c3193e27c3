"""stage=score: the scores of one date, from a table to a partition of files and a SQL table; or on schedule."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.risk.config import EVENT_MODELS, TARGET_MODELS, RiskConfig
from apps.risk.data.as_of_time import AsOf, parse_as_of
from apps.risk.data.columns import Columns
from apps.risk.data.holdings import Holdings, read_holdings
from apps.risk.data.load import Loaded, load_panel, zone_of
from apps.risk.data.set_aside import (
    rejected_rows,
    report_rejected,
    set_aside_part,
    set_aside_path,
    write_set_aside,
)
from apps.risk.data.sql import parse_url
from apps.risk.evaluation.seen_in_training import warn_of_seen
from apps.risk.models.champions import champion_of, read_champions
from apps.risk.models.risk_model import RiskModel, describe, load_model
from apps.risk.reasons import AWAITED, OPTIONS, WriteInterrupted, note
from apps.risk.report.input_notes import input_notes
from apps.risk.scoring.late_input import when_input_is_there
from apps.risk.scoring.manifest import Facts
from apps.risk.scoring.partition import Partition, read_batches
from apps.risk.scoring.score_rows import Settings, Tally
from apps.risk.scoring.scorer import first_day, require_fit, score_into, settings_of, trained_parts
from apps.risk.scoring.scores import ENTITY, FEW, FEWEST, LAYOUT, PORTFOLIO, UNITS
from apps.risk.scoring.scoring_name import scoring_name
from apps.risk.scoring.scoring_result import ScoringResult, counts_of, result_of
from apps.risk.scoring.sql_sink import upsert
from core.cli.stages import to_yaml
from core.errors import ExitCode
from core.runs.folder import Run, open_run
from core.settings.reasons import UnknownField
from core.settings.schema import build, with_absolute_paths
from core.terminal.notes import print_note, print_set_aside

JOB = "risk.score"
PAUSES_S = (1.0, 2.0, 4.0, 8.0)  # between tries of a database that does not answer


def run(cfg: RiskConfig, run: Run) -> int:
    """Score `cfg.as_of` into `cfg.output`; return 4 where a row or an entity was set aside, else 0.

    The same call again writes the same bytes, and completes what an outage or a crash left undone. With
    `cfg.schedule` the scoring is registered for those times instead. Raises ConfigError and InputError.
    """
    if cfg.schedule is not None:
        _register(cfg, run)
        return ExitCode.DONE
    return _recorded(cfg, run).exit_code


def job(config: dict[str, Any], due: str) -> dict[str, Any]:
    """Score as of a due time, to the minute; what triptych-jobs calls. Returns the run's metrics.

    config: of `register`, paths absolute. due: ISO 8601 with offset. The data's times are compared with it in the
    data's zone; those of data without a zone count as written by the schedule's clock.
    """
    cfg = _restored(config)
    cfg.as_of = due
    now = parse_as_of(due, zone_of(cfg.data) or cfg.zone)
    folder = str(Path(cfg.run_dir) / now.label) if cfg.run_dir else None
    record = open_run("risk", "score", folder, to_yaml(cfg), cfg.seed)
    with record.log:
        result = when_input_is_there(lambda: _recorded(cfg, record, now), due, cfg.score.wait_h, record.log)
    return result.metrics


def _recorded(cfg: RiskConfig, run: Run, now: AsOf | None = None) -> ScoringResult:
    """Score, bring the rows into a SQL table where one is named, and write the run's metrics and log."""
    began = time.monotonic()
    if cfg.score.sql is not None:
        parse_url(cfg.score.sql)  # before the work, not after it
    result = score(cfg, run, now)
    if cfg.score.sql is not None:
        _send(cfg, result)
    if result.few:
        print_note(note(FEW, count=result.few, fewest=FEWEST, code=FEW))
    seconds = round(time.monotonic() - began - result.seconds_model, 3)
    measured = {"seconds_model": round(result.seconds_model, 3), "seconds_scoring": seconds}
    run.write_metrics({**result.metrics, **measured, "later_rows": result.later_rows})
    run.log.event("scored", accepted=result.counts.scored, quarantined=result.set_aside, seconds=seconds)
    return result


def score(cfg: RiskConfig, run: Run, now: AsOf | None = None) -> ScoringResult:
    """Score a table as it was known at `cfg.as_of` into `cfg.output`: a partition, and what was set aside of the table.

    run: takes notes on the input, for the terminal and the log. now: the as-of time itself, in place of `cfg.as_of`.
    The same call again writes the same bytes. Raises ConfigError and InputError before anything is written.
    """
    began = time.monotonic()
    output = Path(str(cfg.output))
    holdings = read_holdings(Path(cfg.score.portfolios)) if cfg.score.portfolios else None
    champions = read_champions(Path(cfg.score.champion)) if cfg.score.champion else None
    model = _load(cfg, cfg.model.name) if champions is None else None
    seconds_model = time.monotonic() - began
    trained = describe(None if cfg.weights is None else Path(cfg.weights))
    loaded = load_panel(cfg.data, now or cfg.as_of, trained.categories, fresh=True)
    listed_in = set_aside_path(output, _item(loaded))
    report_rejected(loaded.checked, loaded.columns, cfg.data.max_rejected, run, listed_in)
    if champions is not None:
        model = _load_champions(cfg, champions, loaded.columns)
    assert model is not None  # the command's own, or the one that the evaluation chose
    require_fit(cfg.model.name, model, loaded.columns)
    for sentence in input_notes(loaded, [model.targets] if model.targets is not None else (), model.event):
        print_note(sentence)
    seen: dict[str, str] = {}
    for part in trained_parts(model, loaded.columns):
        seen |= warn_of_seen(model.described, part, first_day(loaded), run.log)
    settings = settings_of(model, cfg.model, cfg.score, cfg.seed)
    with Partition(output, loaded.as_of, LAYOUT) as partition:
        tally = score_into(partition.add, model, loaded, settings, holdings)
        folder = partition.finish(_facts(cfg, settings, model, loaded, holdings, tally, seen))
    result = result_of(folder, loaded, tally, seen, seconds_model, model.runtimes)
    _write_aside(output, loaded, result)
    _say_aside(loaded, tally, listed_in)
    return result


def _load_champions(cfg: RiskConfig, champions: Mapping[str, str], columns: Columns) -> RiskModel:
    """Load the models that an evaluation chose for the table's targets and its event."""
    events = (columns.event,) if columns.event else ()
    return _load(
        cfg,
        champion_of(champions, columns.targets, TARGET_MODELS),
        champion_of(champions, events, EVENT_MODELS),
    )


def _load(cfg: RiskConfig, name: str, event: str | None = None) -> RiskModel:
    """Load models by name from the weights, and exported networks where there are some."""
    return load_model(
        cfg.weights,
        name,
        event=event,
        device=cfg.model.device,
        artifacts=cfg.artifacts,
        runtime=cfg.runtime,
    )


def _facts(
    cfg: RiskConfig,
    scoring: Settings,
    model: RiskModel,
    loaded: Loaded,
    holdings: Holdings | None,
    tally: Tally,
    seen: Mapping[str, str],
) -> Facts:
    counts = counts_of(loaded, tally)
    names = []
    if loaded.columns.targets and model.targets is not None:
        names.append(f"targets: {model.targets.name}{_runtime(model, 'targets')}")
    if loaded.columns.event and model.event is not None:
        names.append(f"event: {model.event.name}{_runtime(model, 'event')}")
    settings: dict[str, Any] = dataclasses.asdict(scoring)
    settings["as_of"] = loaded.as_of.text
    settings["data"] = {"bound": cfg.data.bound, "oldest": cfg.data.oldest, "max_age": cfg.data.max_age}
    settings["calendars"] = {
        "series": dict(sorted(tally.calendars.items())),
        "portfolios": dict(sorted(tally.portfolios.items())),
    }
    settings["portfolios"] = None if holdings is None else _digest(holdings)
    return Facts(
        as_of=loaded.as_of,
        model=", ".join(names),
        model_digest=model.digest,
        units=UNITS,
        scored=counts.scored,
        refused=counts.refused,
        rejected=Counter(loaded.checked.rejected["code"].tolist()),
        input_digest=loaded.digest,
        settings=settings,
        seen_in_training=seen,
    )


def _runtime(model: RiskModel, part: str) -> str:
    """Return the format in which a part's exported networks run, in words; nothing where PyTorch runs them."""
    return f" ({model.runtimes[part]})" if part in model.runtimes else ""


def _digest(holdings: Holdings) -> str:
    positions = (holdings.portfolio_H.tolist(), holdings.weight_H.tolist())
    return hashlib.sha256(repr((holdings.portfolios, holdings.entity_H, *positions)).encode()).hexdigest()


def _item(loaded: Loaded) -> str:
    """Return the name under which what was set aside of a date is listed."""
    return f"as_of={loaded.as_of.label}"


def _write_aside(output: Path, loaded: Loaded, result: ScoringResult) -> None:
    """Write quarantine/as_of=LABEL.json, or remove it where nothing was set aside and an earlier run left one."""
    parts = rejected_rows(loaded.checked, loaded.columns)
    parts += [
        set_aside_part(one.kind, one.entity, one.target, (one.code, one.sentence)) for one in result.refused
    ]
    write_set_aside(output, _item(loaded), parts)


def _say_aside(loaded: Loaded, tally: Tally, listed_in: Path) -> None:
    """Print how many series, and how many portfolios, have no numbers."""
    verb = "have no scores" if len(loaded.columns.labels) == 1 else "have no scores of some column"
    reasons: dict[str, dict[str, tuple[str, str]]] = {ENTITY: {}, PORTFOLIO: {}}
    for one in tally.aside:
        reasons[one.kind].setdefault(one.entity, (one.code, one.sentence))
    series = len(loaded.panel.entities) + len(loaded.refused)
    portfolios = len(tally.portfolios.keys() | reasons[PORTFOLIO].keys())
    for kind, what, total in ((ENTITY, "series", series), (PORTFOLIO, "portfolios", portfolios)):
        print_set_aside(what, total, list(reasons[kind].values()), listed_in, verb)


def _send(cfg: RiskConfig, result: ScoringResult) -> None:
    """Bring a partition into a SQL table; a database that does not answer is asked again, with growing pauses."""
    url, table, name = str(cfg.score.sql), cfg.score.sql_table, scoring_name(cfg)
    for pause_s in (*PAUSES_S, None):
        try:
            upsert(url, table, name, result.as_of, LAYOUT, read_batches(result.folder))
        except WriteInterrupted as error:
            if pause_s is None:
                raise AWAITED(
                    "sql_outage", sentence=error.sentence, tries=len(PAUSES_S) + 1, folder=result.folder
                ) from None
            time.sleep(pause_s)
        else:
            return


def _register(cfg: RiskConfig, run: Run) -> None:
    """Register the scoring under a name that its output gives it: the same output again replaces the schedule."""
    # the queue's libraries take a second that a scoring need not wait
    from core.jobs.schedule import register
    from core.jobs.store import Store

    if cfg.as_of is not None:
        raise OPTIONS("schedule_as_of")
    config = dataclasses.asdict(with_absolute_paths(cfg))
    name = f"{JOB}.{hashlib.sha256(config['output'].encode()).hexdigest()[:8]}"
    arguments = {"config": {**config, "schedule": None}}
    with Store() as store:
        register(store, name, str(cfg.schedule), cfg.zone, JOB, arguments, catch_up=cfg.score.catch_up)
    run.log.event("registered", name=name)
    print(f"{name} is registered; `triptych-jobs work` scores when it is due", flush=True)


def _restored(config: Mapping[str, Any]) -> RiskConfig:
    """Return the settings of a registered scoring. Raises ConfigError for a field that no longer exists."""
    try:
        restored: RiskConfig = build(RiskConfig, config)
    except UnknownField as error:
        raise OPTIONS("registered_option_unknown", sentence=error.sentence) from None
    return restored
