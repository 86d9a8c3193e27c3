"""stage=export: riskformer's networks in the formats that other programs run, each checked by its losses on a table.

What is exported of a model folder: of a riskformer of series "forecast" (series of one group see each other) and
"forecast_alone"; of one that learned a table's columns "forecast" (the columns of an entity); of a riskformer of an
event "event" (log-odds). Calibration, drivers, tails and paths stay Python.
Legend: B rows, or G groups of V rows each; C steps of the past, S patches of P steps ahead, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from apps.risk.config import RiskConfig
from apps.risk.data.groups import MOST
from apps.risk.data.load import Loaded, load_panel
from apps.risk.data.set_aside import report_rejected
from apps.risk.evaluation.export_samples import drawn, with_samples
from apps.risk.evaluation.export_trials import Trial, covariates_trial, event_trial, series_trial
from apps.risk.models.exported import (
    ALONE,
    EVENT,
    FORECAST,
    EventMembers,
    ForecastNetwork,
    padded,
)
from apps.risk.models.feed import counts_of
from apps.risk.models.risk_model import DEFAULT, describe, load_event, load_targets, model_digest
from apps.risk.models.riskformer import ROWS, RiskformerTargets
from apps.risk.models.riskformer_covariates import RiskformerCovariates, require_same
from apps.risk.models.riskformer_event import CHUNK, RiskformerEvent
from apps.risk.models.sizes import QUANTILE_LEVELS
from apps.risk.models.transformer import Kind
from apps.risk.reasons import INPUTS
from core.compute.threads import one_thread
from core.export.formats import chosen
from core.export.manifest import Manifest
from core.export.network import Network, Tensors
from core.export.ports import Axis, Port
from core.export.publish import Progress, publish
from core.export.report import finish
from core.export.task import Replaced, Task
from core.runs.folder import Run

APP = "risk"
PATCHES = 64  # ahead, at most: 1,024 steps of patches of 16

# Why other models of a folder are in no format.
WITHOUT = {
    "tft": "pytorch-forecasting's network turns lengths into Python numbers, which no exporter follows",
    "deepar": "it draws its paths step by step at random, which is no function of its inputs",
    "scorecard": "it is a table of points, readable in its safetensors file, and no network",
    "boosting": "it is trees of scikit-learn, and no network",
}


_UNSTEADY = "in some processes a score in it depends on how many are computed at once"


@dataclass(frozen=True, eq=False)
class Part:
    """The networks of one model, and how a table judges them."""

    trial: Trial
    networks: tuple[Network, ...]


def run(cfg: RiskConfig, run: Run) -> int:
    """Export the riskformers of `cfg.weights` to `cfg.output`; return 4 where a network was refused in a format.

    Raises as `export` does.
    """
    manifest = export(
        cfg, run, on_step=lambda step: run.say(f"{step.network}, {step.format}: {step.outcome}")
    )
    return finish(manifest, run)


def export(cfg: RiskConfig, run: Run, on_step: Callable[[Progress], None]) -> Manifest:
    """Export the riskformers of `cfg.weights` that forecast `cfg.data`, in `cfg.formats`, and return the manifest.

    run: takes notes on the table. Raises ConfigError for formats that are not known or whose package is missing,
    InputError for weights without a riskformer, or a table or folder that cannot be used.
    """
    formats = chosen(cfg.formats)
    folder = DEFAULT if cfg.weights is None else Path(cfg.weights)
    described = describe(folder)
    loaded = load_panel(cfg.data, cfg.as_of, described.categories)
    report_rejected(loaded.checked, loaded.columns, cfg.data.max_rejected, run)
    parts = parts_of(folder, loaded)
    names = {*described.names("targets"), *described.names("event")}
    return publish(
        networks_of(parts),
        task_of(parts),
        formats,
        Path(str(cfg.output)),
        app=APP,
        model=model_digest(folder),
        without={name: why for name, why in WITHOUT.items() if name in names},
        on_step=on_step,
    )


def parts_of(folder: Path, loaded: Loaded) -> list[Part]:
    """Return the riskformers of a folder that forecast a table, one or two. Raises InputError, export_no_network."""
    described, columns = describe(folder), loaded.columns
    parts: list[Part] = []
    if columns.targets and "riskformer" in described.names("targets"):
        label = columns.targets[0]
        model = load_targets(folder, described.targets, "riskformer")
        if isinstance(model, RiskformerTargets):
            trial = series_trial(model, loaded.panel_of(label), label)
            parts.append(Part(trial, _sampled(series_networks(model), trial)))
        elif isinstance(model, RiskformerCovariates):
            model.require(columns)
            trial = covariates_trial(model, loaded.panel_of(label), label)
            parts.append(Part(trial, _sampled(covariates_networks(model), trial)))
    if columns.event is not None and described.event is not None and "riskformer" in described.event.models:
        event = load_event(folder, described.event, "riskformer")
        require_same(described.event.columns, columns)
        assert isinstance(event, RiskformerEvent)  # the only one of that name
        trial = event_trial(event, loaded, described.event.horizon)
        parts.append(Part(trial, _sampled(event_networks(event), trial)))
    if not parts:
        raise INPUTS("export_no_network", folder=folder)
    return parts


def networks_of(parts: Sequence[Part]) -> list[Network]:
    """Return the declarations of all networks."""
    return [network for part in parts for network in part.networks]


def task_of(parts: Sequence[Part]) -> Task:
    """Return what must survive: the pinball loss of forecasts, log loss and AUROC of an event."""

    def measure(networks: Replaced) -> Mapping[str, float]:
        with one_thread():
            return {name: value for part in parts for name, value in part.trial.judge(networks).items()}

    return Task(
        about="; ".join(part.trial.about for part in parts),
        metrics=tuple(metric for part in parts for metric in part.trial.metrics),
        measure=measure,
    )


def series_networks(model: RiskformerTargets) -> list[Network]:
    """Return the networks of a riskformer of series: of groups, whose number and size vary, and of rows alone."""
    module, P = ForecastNetwork(model.net).eval(), model.net.size.patch
    ahead, few = Axis("S", 1, PATCHES), Axis("S", 1, 2)
    together = _forecast_ports(("G", "V"), padded(model.context), P)
    alone = _forecast_ports(("B",), padded(model.context), P)
    return [
        Network(
            name=FORECAST,
            about="quantiles of series, of which those of a group see each other",
            module=module,
            inputs=together,
            outputs=(Port("quantiles", ("G", "V", f"{P} S", len(QUANTILE_LEVELS))),),
            axes=(Axis("G", 1, ROWS // 2), Axis("V", 2, MOST), ahead),
            # timed on as many rows as the app asks about at once
            sizes=({"G": ROWS // 8, "V": 8, "S": 2}, {"G": 1, "V": 2, "S": 1}, {"G": 3, "V": 9, "S": 3}),
            draw=lambda sizes, generator: drawn(together, sizes, generator, ()),
            real=_none,
            rows="G",
            narrowed={
                "executorch": (
                    (Axis("G", 1, 4), Axis("V", 2, 8), few),
                    ({"G": 4, "V": 6, "S": 2}, {"G": 1, "V": 2, "S": 1}),
                )
            },
        ),
        Network(
            name=ALONE,
            about="quantiles of series, each by itself",
            module=module,
            inputs=alone,
            outputs=(Port("quantiles", ("B", f"{P} S", len(QUANTILE_LEVELS))),),
            axes=(Axis("B", 1, ROWS), ahead),
            sizes=({"B": ROWS, "S": 2}, {"B": 1, "S": 1}, {"B": 7, "S": 3}),
            draw=lambda sizes, generator: drawn(alone, sizes, generator, ()),
            real=_none,
            rows="B",
            narrowed={"executorch": ((Axis("B", 1, 32), few), ({"B": 8, "S": 2}, {"B": 1, "S": 1}))},
        ),
    ]


def covariates_networks(model: RiskformerCovariates) -> list[Network]:
    """Return the network of a riskformer that learned a table's columns: they are the rows of a group."""
    P, counts = model.net.size.patch, counts_of(model.columns, model.categories)
    lead = ("G", model.variables)
    ports = (*_forecast_ports(lead, model.context, P), *_described_ports(lead, counts))
    return [
        Network(
            name=FORECAST,
            about="quantiles of the columns of an entity, which see each other",
            module=ForecastNetwork(model.net).eval(),
            inputs=ports,
            outputs=(Port("quantiles", (*lead, f"{P} S", len(QUANTILE_LEVELS))),),
            axes=(Axis("G", 1, ROWS), Axis("S", 1, PATCHES)),
            sizes=(
                {"G": max(ROWS // model.variables, 1), "S": 2},
                {"G": 1, "S": 1},
                {"G": 5, "S": 3},
            ),
            draw=lambda sizes, generator: drawn(ports, sizes, generator, counts),
            real=_none,
            rows="G",
            narrowed={
                "executorch": (
                    (Axis("G", 1, 8), Axis("S", 1, 2)),
                    ({"G": 8, "S": 2}, {"G": 1, "S": 1}),
                )
            },
        )
    ]


def event_networks(model: RiskformerEvent) -> list[Network]:
    """Return the network of a riskformer of an event."""
    lead = ("G", sum(model.keep_V))
    ahead = (*lead, model.past.horizon)
    ports = (*_time_ports((*lead, model.past.context), ahead), *_described_ports(lead, model.counts))
    return [
        Network(
            name=EVENT,
            about="log-odds of the event of clients, before their calibration",
            module=EventMembers(model.members).eval(),
            inputs=ports,
            outputs=(Port("log_odds", ("G",)),),
            axes=(Axis("G", 1, CHUNK),),
            sizes=({"G": CHUNK}, {"G": 1}, {"G": 5}),
            draw=lambda sizes, generator: drawn(ports, sizes, generator, model.counts),
            real=_none,
            rows="G",
            narrowed={"executorch": ((Axis("G", 1, 64),), ({"G": 64}, {"G": 1}, {"G": 5}))},
        )
    ]


def _forecast_ports(lead: tuple[int | str, ...], context: int, patch: int) -> tuple[Port, ...]:
    return _time_ports((*lead, context), (*lead, "S", patch))


def _time_ports(past: tuple[int | str, ...], ahead: tuple[int | str, ...]) -> tuple[Port, ...]:
    return (
        Port("past", past),
        Port("known", past, "bool"),
        Port("ahead", ahead),
        Port("ahead_known", ahead, "bool"),
    )


def _described_ports(lead: tuple[int | str, ...], counts: Sequence[int]) -> tuple[Port, ...]:
    return (
        Port("kind", lead, "int64", low=0, high=len(Kind) - 1),
        Port("code", (*lead, len(counts)), "int64", low=0, high=max(counts) - 1),
        Port("level", (*lead, 2)),
    )


def _none() -> Iterator[Tensors]:
    """Yield nothing: the samples come with `with_samples`."""
    return iter(())


def _sampled(networks: Sequence[Network], trial: Trial) -> tuple[Network, ...]:
    declared = [
        replace(network, not_applicable={"torchscript": _UNSTEADY}, quantised=("MatMul",))
        for network in networks
    ]
    return with_samples(declared, trial.judge, trial.earlier)
