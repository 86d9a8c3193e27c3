"""Two model folders of small untrained riskformers, a table for each, and what stage=export makes of them, once."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from apps.risk.config import DataConfig, RiskConfig
from apps.risk.data.loan_book import generate_loan_book
from apps.risk.export import run
from apps.risk.models.description import Description, EventPart, TargetsPart, write_description
from apps.risk.models.risk_model import EVENT, save_riskformer
from core.runs.folder import Run
from tests.apps.risk.models import events, networks
from tests.apps.risk.score_inputs import returns

FORMATS = ("onnx", "openvino")
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def root() -> Path:
    _KEPT.append(tempfile.TemporaryDirectory())
    return Path(_KEPT[0].name)


@functools.cache
def series() -> tuple[Path, DataConfig]:
    """A riskformer of series, and a table of four."""
    folder, table = root() / "series", root() / "returns.csv"
    needs = save_riskformer(networks.untrained(), folder)
    write_description(folder, Description(TargetsPart("riskformer", {"riskformer": needs, "tft": {}})))
    returns(days=60).to_csv(table, index=False)
    return folder, DataConfig(sample=None, path=str(table), entity="asset", time="day", targets="gain")


@functools.cache
def clients() -> tuple[Path, DataConfig]:
    """A riskformer of an event, and a loan book."""
    folder, table = root() / "clients", root() / "loans.csv"
    model, columns = events.untrained(), events.whole().columns
    described = EventPart(
        "riskformer",
        {"riskformer": model.save(folder / EVENT)},
        events.HORIZON,
        columns,
        events.whole().categories,
    )
    write_description(folder, Description(event=described))
    # more clients than events.book(), or nobody has the event on the last date
    book = generate_loan_book(borrowers=800, months=14, horizon=events.HORIZON, seed=1)
    book.table.to_csv(table, index=False)
    roles = {
        name: ",".join(getattr(columns, name))
        for name in ("observed", "known", "statics", "static_numbers")
        if getattr(columns, name)
    }
    data = DataConfig(
        sample=None,
        path=str(table),
        entity=columns.entity,
        time=columns.time,
        event=columns.event,
        **roles,  # type: ignore[arg-type]
    )
    return folder, data


def export_config(made: tuple[Path, DataConfig], output: Path, **words: Any) -> RiskConfig:
    return RiskConfig("export", output=str(output), weights=str(made[0]), data=made[1], **words)


@functools.cache
def exported(what: str) -> tuple[Path, int]:
    """The folder of an export of `series` or `clients` in FORMATS, and the command's exit code."""
    made = {"series": series, "clients": clients}[what]()
    output = root() / f"{what}-exported"
    with (record := Run(root() / f"{what}-run", stage="export")).log:
        code = run(export_config(made, output, formats=list(FORMATS)), record)
    return output, code
