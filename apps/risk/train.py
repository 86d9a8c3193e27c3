"""stage=train: riskformer on a mixture or on your own table, pytorch-forecasting's networks, models of an event.

The model folder is left as `model` in the run folder; weights=FOLDER takes it. A training that was cut off is resumed
by the same command with the same run_dir.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.risk.config import EVENT_MODELS, RiskConfig
from apps.risk.data.history import histories_NT, last_date
from apps.risk.data.load import Loaded, load_panel, panel_digest
from apps.risk.data.mixture import FINETUNE, OWN, PRETRAIN, UNTIL, Material, Mixture, load_material
from apps.risk.data.panel import fill_gaps
from apps.risk.data.set_aside import report_rejected
from apps.risk.data.windows import Windows
from apps.risk.models.description import Description, EventPart, TargetsPart, write_description
from apps.risk.models.feed import code_counts, learn_levels
from apps.risk.models.learning import Forecasting, WindowSampleSource, begin
from apps.risk.models.risk_model import EVENT, RiskModel, model_digest, save_riskformer
from apps.risk.models.riskformer import MOST_FITTED, SHORTEST, RiskformerTargets, fit_residuals
from apps.risk.models.riskformer_covariates import RiskformerCovariates, covered
from apps.risk.models.sizes import SIZES
from apps.risk.models.sound_training import fit_soundly
from apps.risk.models.suited import require_suited
from apps.risk.models.transformer import RiskFormer
from apps.risk.reasons import INPUTS, OPTIONS
from core.data.seeds import seed_of
from core.data.stream import BatchSource
from core.errors import ExitCode
from core.runs.folder import Run
from core.runs.training import Checkpoints, Source, Training
from core.training.config import TrainerConfig, share_of
from core.training.digests import arrays_digest, weights_digest
from core.training.fit import Fitted

ROUNDS = {
    "pretrain": (PRETRAIN, 0.75, 1.0),
    "finetune": (FINETUNE, 0.25, 0.3),
}  # shares, steps, learning rate
AHEAD = 16  # forecast horizon in training on returns, in steps
TAIL_STEPS = 1000  # last steps of the material that the tails are fitted on
LEAST_RESIDUALS = 2000  # values from which tails are fitted; with fewer the network's own stay
NETWORKS = ("riskformer", "tft", "deepar")
OWN_ROUND = "own"  # the one round of a training on a table of the user's own
READ = ("data.path", "data.columns")  # compared by what is read
UNREAD = (
    "data.max_age",
    "data.max_rejected",
    "model.paths",
    "model.device",
)  # they do not decide the weights


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training left.

    folder: the models, as `weights=` and `load_model` take them. described: what its model.json says. figures:
    "targets" or "event" → steps, losses, seconds and the like, as in metrics.json. rejected_rows: rows of the table
    that were set aside.
    """

    folder: Path
    described: Description
    figures: dict[str, dict[str, Any]]
    rejected_rows: int


def run(cfg: RiskConfig, run: Run) -> int:
    """Train what the config names, leave it in the run folder, and write the run's metrics. Raises as `train`."""
    trained = train(cfg, run)
    run.write_metrics({**trained.figures, "rejected_rows": trained.rejected_rows})
    return ExitCode.DONE


def train(cfg: RiskConfig, run: Run) -> Trained:
    """Train what the config names; the models lie in the folder `model` of the run, its checkpoints beside it.

    Raises ConfigError where that needs no training, or the run folder holds one with other settings or data.
    """
    training = Training(run, cfg, ("seed", "as_of", "data", "model", "trainer"), but=(*READ, *UNREAD))
    folder = run.path / "model"
    if cfg.data.sample == "mixture":
        parts, rejected = {"targets": _pretrained(cfg, run, folder, training)}, 0
    else:
        loaded = load_panel(cfg.data, cfg.as_of, seed=cfg.seed)
        report_rejected(loaded.checked, loaded.columns, cfg.data.max_rejected, run)
        parts, rejected = _of_a_table(cfg, run, folder, loaded, training), len(loaded.checked.rejected)
    described = Description(**{kind: part[0] for kind, part in parts.items()})
    if run.rank == 0:
        write_description(folder, described)
    return Trained(folder, described, {kind: part[1] for kind, part in parts.items()}, rejected)


Part = tuple[Any, dict[str, Any]]  # a TargetsPart or EventPart of model.json, and what metrics.json says


def _of_a_table(
    cfg: RiskConfig, run: Run, folder: Path, loaded: Loaded, training: Training
) -> dict[str, Part]:
    name, columns = cfg.model.name, loaded.columns
    require_suited(name, columns)
    forecasts = bool(columns.targets) and name in ("champion", *NETWORKS)
    has_event = columns.event is not None and name in ("champion", *EVENT_MODELS)
    if not (forecasts or has_event):
        raise OPTIONS("training_not_needed", model=name)
    begins = model_digest(Path(cfg.weights) if cfg.weights else None) if forecasts else ""
    checkpoints = training.begin(
        {
            "data.path": Source(cfg.data.path or cfg.data.sample, panel_digest(loaded.everyone)),
            "weights": Source(cfg.weights, begins),
        }
    )
    parts: dict[str, Part] = {}
    if forecasts:
        network = "riskformer" if name == "champion" else name
        parts["targets"] = _network(cfg, run, folder, loaded, network, checkpoints)
    if has_event:
        parts["event"] = _event(cfg, run, folder, loaded, checkpoints)
    until = str(last_date(loaded.everyone).astype("datetime64[D]"))
    return {kind: (replace(described, until=until), figures) for kind, (described, figures) in parts.items()}


def _pretrained(cfg: RiskConfig, run: Run, folder: Path, training: Training) -> Part:
    """Train riskformer on the mixture in two rounds: everything, then mostly returns."""
    torch.manual_seed(cfg.seed)
    net = RiskFormer(SIZES[cfg.model.size])
    material, missing = load_material()
    series = [
        material.returns_NT,
        *(one for kind in sorted(material.levels) for one in material.levels[kind]),
    ]
    checkpoints = training.begin({"data.sample": Source("mixture", arrays_digest(series))})
    fitted: dict[str, Fitted] = {}
    for index, (name, (shares, steps, rate)) in enumerate(ROUNDS.items()):
        mixture = Mixture(material, shares, cfg.model.context, AHEAD)
        trainer = share_of(cfg.trainer, steps, rate)
        part = checkpoints / name
        if fitted:
            part = part.begun_from(weights_digest(net.state_dict()))
        fitted[name] = _fit(net, mixture, trainer, run, part, seed_of(cfg.seed, index))
    described = _riskformer(net, cfg.model.context, material.returns_NT, folder)
    return replace(described, until=UNTIL), {"rounds": _asdicts(fitted), "missing": missing, "until": UNTIL}


def _network(
    cfg: RiskConfig, run: Run, folder: Path, loaded: Loaded, name: str, checkpoints: Checkpoints
) -> Part:
    """Go on from given weights with one's own series, or train a network of pytorch-forecasting."""
    label = loaded.columns.targets[0]
    panel = loaded.panel_of(label)
    if name != "riskformer":
        from apps.risk.models.forecasting_training import train_forecasting  # an extra, and slow to import

        other, importance = train_forecasting(
            name, panel, label, cfg.model, cfg.trainer, checkpoints / name, run.log, cfg.seed
        )
        other.save(folder / name)
        return TargetsPart(name, {name: {}}), {"importance": importance}
    before = RiskModel.from_pretrained(
        Path(cfg.weights) if cfg.weights else None, targets="riskformer"
    ).targets
    if not isinstance(before, RiskformerTargets | RiskformerCovariates):
        raise OPTIONS("weights_without_riskformer", weights=cfg.weights)
    if covered(loaded.columns):
        return _covariates(cfg, run, folder, loaded, before, checkpoints / OWN_ROUND)
    net = before.net if isinstance(before, RiskformerTargets) else begin(before.net, ())
    own_NT = histories_NT(panel, label)
    mixture = Mixture(Material(own_NT, own_NT=own_NT), OWN, before.context, cfg.model.horizon)
    fitted = _fit(net.train(), mixture, cfg.trainer, run, checkpoints / OWN_ROUND, cfg.seed)
    return _riskformer(net, before.context, own_NT, folder), {"rounds": _asdicts({OWN_ROUND: fitted})}


def _covariates(
    cfg: RiskConfig,
    run: Run,
    folder: Path,
    loaded: Loaded,
    before: RiskformerTargets | RiskformerCovariates,
    checkpoints: Checkpoints,
) -> Part:
    """Go on from given weights with all targets of a table, its covariates and statics."""
    panel, horizon = loaded.everyone, cfg.model.horizon
    windows = Windows(fill_gaps(panel), before.context, horizon, shortest=SHORTEST)
    if not len(windows):
        raise INPUTS("training_too_short", shortest=SHORTEST, horizon=horizon)
    if isinstance(before, RiskformerCovariates) and before.knows(panel):
        net, levels = before.net, before.levels
    else:
        net, levels = begin(before.net, code_counts(panel)), learn_levels(windows)
    source = WindowSampleSource(windows, levels)
    fitted = _fit(net.train(), source, cfg.trainer, run, checkpoints, cfg.seed)
    model = RiskformerCovariates(
        net.eval(), before.context, horizon, panel.columns, panel.categories, levels
    ).with_fitted_tails(panel, TAIL_STEPS, min(horizon, AHEAD), LEAST_RESIDUALS)
    return TargetsPart("riskformer", {"riskformer": model.save(folder)}), {
        "rounds": _asdicts({OWN_ROUND: fitted})
    }


def _event(cfg: RiskConfig, run: Run, folder: Path, loaded: Loaded, checkpoints: Checkpoints) -> Part:
    """Fit the models of the event; the champion is the one of least log loss on development clients."""
    from apps.risk.models.event_training import fit_event_models  # scikit-learn is slow to import

    if cfg.data.outcome_after is not None and cfg.model.horizon != 1:
        raise OPTIONS("outcome_horizon")
    names = EVENT_MODELS if cfg.model.name == "champion" else (cfg.model.name,)
    fitted = fit_event_models(
        loaded.everyone, cfg.model.horizon, names, cfg.trainer, checkpoints / EVENT, run.log, cfg.seed
    )
    described = EventPart(
        champion=fitted.champion,
        models={name: model.save(folder / EVENT) for name, model in fitted.models.items()},
        horizon=cfg.model.horizon,
        columns=loaded.columns,
        categories=loaded.panel.categories,
    )
    return described, fitted.figures


def _fit(
    net: RiskFormer, data: BatchSource, trainer: TrainerConfig, run: Run, checkpoints: Checkpoints, seed: int
) -> Fitted:
    return fit_soundly(Forecasting(net, trainer), data, trainer, checkpoints, run.log, seed)


def _riskformer(net: RiskFormer, context: int, value_NT: np.ndarray, folder: Path) -> TargetsPart:
    """Fit the tails on the material's last steps, and write the network."""
    model = RiskformerTargets(net.eval(), context)
    some_NT = value_NT[:MOST_FITTED, -(TAIL_STEPS + context + AHEAD) :]
    if np.isfinite(some_NT[:, context:]).sum() > LEAST_RESIDUALS:
        residual_HQ, shapes = fit_residuals(model, some_NT, AHEAD)
        model = replace(model, residual_KQ=residual_HQ, shapes=shapes)
    return TargetsPart("riskformer", {"riskformer": save_riskformer(model, folder)})


def _asdicts(fitted: Mapping[str, Fitted]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in fitted.items()}
