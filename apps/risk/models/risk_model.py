"""A trained model as a folder: `model.json` (apps.risk.models.description) says what is in it.

Weights lie beside it as safetensors; nothing is a pickle. Baselines need no file.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from apps.risk.config import EVENT_MODELS, TARGET_MODELS
from apps.risk.data.columns import Columns
from apps.risk.models.baselines import BASELINES
from apps.risk.models.description import Description, EventPart, TargetsPart, read_description
from apps.risk.models.interface import EventModel, TargetModel
from apps.risk.models.network_file import load_weights, read_network, write_network
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.riskformer_covariates import RiskformerCovariates, require_same
from apps.risk.models.sizes import Size
from apps.risk.models.soundness import require_sound
from apps.risk.models.transformer import RiskFormer
from apps.risk.reasons import INPUTS, OPTIONS
from core.compute.devices import choose_device
from core.export.formats import AUTO
from core.export.options import check_device

EMBEDDED = Path(__file__).parents[1] / "weights"
DEFAULT = EMBEDDED / "series"
EVENT = "event"  # folder of the files of its models


@dataclass(frozen=True, eq=False)
class RiskModel:
    """A trained model, as `load_model` returns it.

    targets: what forecasts series: its `name`, and `forecast`, which draws paths in the unit of the target. event:
    what gives probabilities of an event, 0 to 1. Each is None where the folder has none, or another one is named.
    described: what the folder's model.json says: the models that it holds, the last date of their training, and of an
    event the horizon in steps. digest: SHA-256 of the folder's files and of the choice among its models.
    runtimes: "targets" or "event" → the format in which its exported networks run; PyTorch runs those that are missing.

    >>> from apps import risk
    >>> model = risk.load_model()
    >>> model.targets.name, model.event
    ('riskformer', None)
    >>> model.described.names("targets"), model.described.until("targets")
    (('riskformer',), '2008-01-01')
    """

    targets: TargetModel | None
    event: EventModel | None
    described: Description
    digest: str
    runtimes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_pretrained(
        cls, folder: Path | None = None, *, targets: str = "champion", event: str = "champion"
    ) -> RiskModel:
        """Load a folder that stage=train left, by default the embedded one; of its models the named ones.

        A part for which a model of the other one is named is not loaded: no other model takes its place. Raises
        InputError: weights_missing, description_unreadable, weights_newer, weights_unreadable, or model_unknown for
        one that is not in the folder and needs training.
        """
        path = folder or DEFAULT
        described = describe(path)
        if described.targets is None and described.event is None:
            raise INPUTS("model_missing", folder=path)
        return cls(
            targets=load_targets(path, described.targets, targets),
            event=load_event(path, described.event, event),
            described=described,
            digest=model_digest(path, targets, event),
        )

    def require(self, columns: Columns) -> None:
        """Raise InputError, schema_differs, where a table lacks what a model that forecasts it was trained on.

        A riskformer of series takes any table: each series is a row of its own.
        """
        if isinstance(self.targets, RiskformerCovariates) and columns.targets:
            self.targets.require(columns)
        if self.described.event is not None and self.event is not None and columns.event is not None:
            require_same(self.described.event.columns, columns)


def load_model(
    folder: Path | str | None = None,
    name: str = "champion",
    *,
    event: str | None = None,
    device: str = "auto",
    artifacts: Path | str | None = None,
    runtime: str = AUTO,
) -> RiskModel:
    """Load a trained model, by default the one that comes with the program, and move it to a device.

    folder: what stage=train left in `run_dir/model`; None is the embedded model of daily returns.
    name: "champion", the winner on development data, or one of its models or of the baselines, such as "gjr_garch".
    event: the model of the event, where it is another one. device: "auto" (a GPU if there is one), "cpu" or "cuda".
    artifacts: folder of stage=export of these weights, whose networks run on the CPU in place of PyTorch's; runtime:
    their format, or "auto", the fastest one.
    Raises InputError: weights_missing, description_unreadable, weights_newer, weights_unreadable, model_unknown, and
    for artifacts what `core.export.predictor.open_predictors` raises, or artifacts_unused where no model that is loaded
    is a riskformer; ConfigError: no_gpu, and model_not_in_part for a name that is none of what the folder was trained
    for.

    >>> from apps import risk
    >>> risk.load_model(name="gjr_garch").targets.name
    'gjr_garch'
    """
    path = None if folder is None else Path(folder)
    model = RiskModel.from_pretrained(path, targets=name, event=event or name)
    if model.targets is None and model.event is None:
        kind, names = ("targets", TARGET_MODELS) if model.described.targets else ("an event", EVENT_MODELS)
        raise OPTIONS(
            "model_not_in_part", model=name, kind=kind, folder=path or DEFAULT, models=", ".join(names)
        )
    if artifacts is None:
        return on_device(model, device)
    from apps.risk.models.on_artifacts import on_artifacts  # manifests take a moment to import

    check_device(str(artifacts), device, "device")
    exported = on_artifacts(model.targets, model.event, model_digest(path), Path(artifacts), runtime)
    if not exported.runtimes:
        return model
    digest = model_digest(path, name, event or name, *exported.runtimes.values())
    return dataclasses.replace(model, **exported._asdict(), digest=digest)


def save_riskformer(model: RiskformerTargets, folder: Path) -> dict[str, Any]:
    """Write the network into a folder and return what model.json is to say of it."""
    write_network(folder, model.net.state_dict())
    return {
        "size": dataclasses.asdict(model.net.size),
        "context": model.context,
        "residuals": None if model.residual_KQ is None else np.round(model.residual_KQ, 6).tolist(),
        "shapes": list(model.shapes),
    }


def describe(folder: Path | None = None) -> Description:
    """Return what model.json of a folder says, by default the embedded one's. Raises as `read_description`."""
    return read_description(folder or DEFAULT)


def load_targets(folder: Path, part: TargetsPart | None, name: str) -> TargetModel | None:
    """Load a model of targets from a folder; None where it has none, or the name is one of models of an event."""
    if part is None or name not in ("champion", *TARGET_MODELS):
        return None
    name = part.champion if name == "champion" else name
    if name in BASELINES:
        return BASELINES[name]()
    needs = _needs(folder, part.models, name)
    if name == "riskformer":
        return (
            RiskformerCovariates.load(folder, needs)
            if "covariates" in needs
            else load_riskformer(folder, needs)
        )
    from apps.risk.models.forecasting_models import load_forecasting  # an extra, and slow to import

    return load_forecasting(folder / name)


def load_event(folder: Path, part: EventPart | None, name: str) -> EventModel | None:
    """Load a model of the event from a folder; None where it has none, or the name is one of models of targets."""
    if part is None or name not in ("champion", *EVENT_MODELS):
        return None
    from apps.risk.models.event_models import load_event_model  # scikit-learn is slow to import

    name = part.champion if name == "champion" else name
    return load_event_model(name, folder / EVENT, _needs(folder, part.models, name))


def load_riskformer(folder: Path, needs: Mapping[str, Any]) -> RiskformerTargets:
    """Load the network of a folder. Raises InputError where its file is missing or of another shape."""
    net = RiskFormer(Size(**needs["size"]))
    load_weights(net, read_network(folder), folder)
    require_sound(net, str(folder))
    lower, upper = needs["shapes"]
    residual_KQ = None if needs["residuals"] is None else np.array(needs["residuals"])
    return RiskformerTargets(net.eval(), int(needs["context"]), residual_KQ, (float(lower), float(upper)))


def on_device(model: RiskModel, device: str) -> RiskModel:
    """Move networks to a device: auto, cpu or cuda. Raises ConfigError, no_gpu."""
    to_device(model.targets, device)
    return model


def to_device(model: TargetModel | None, device: str) -> None:
    """Move the network of a model to a device, where it has one that may. Raises ConfigError, no_gpu."""
    chosen = choose_device(device)
    if isinstance(model, RiskformerTargets | RiskformerCovariates):
        model.net.to(chosen)


def _needs(folder: Path, models: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return what a model's files need, as model.json says."""
    if name not in models:
        raise INPUTS("model_unknown", folder=folder, model=name, models=", ".join(models))
    return models[name]


def model_digest(folder: Path | None, *words: str) -> str:
    """Return the SHA-256 of a model folder's files, by default the embedded one's, and of some words."""
    folder = folder or DEFAULT
    total = hashlib.sha256("\n".join(words).encode())
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".json", ".safetensors", ".skops"):
            total.update(
                str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
            )
    return total.hexdigest()
