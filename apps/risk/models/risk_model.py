"""A trained model as a folder: `model.json` says what is in it, and which of its models is the champion.

model.json: format; targets and event: {champion, models: {name: what its files need, context and horizon of each
among it}, until: the last date of the training}; event too: columns, categories, horizon. Format 2 has a riskformer of
targets that was trained on the columns of one table (covariates), 1 has none. Weights lie beside it as safetensors;
nothing is a pickle. Baselines need no file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.risk.config import EVENT_MODELS, TARGET_MODELS
from apps.risk.data.columns import Columns
from apps.risk.models.baselines import BASELINES
from apps.risk.models.interface import EventModel, TargetModel
from apps.risk.models.network_file import load_weights, read_network, write_network
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.riskformer_covariates import (
    RiskformerCovariates,
    columns_of,
    require_same,
)
from apps.risk.models.sizes import Size
from apps.risk.models.soundness import require_sound
from apps.risk.models.transformer import RiskFormer
from apps.risk.reasons import INPUTS
from core.compute.devices import choose_device
from core.runs.files import make_folder, write_json

FORMAT = 2
DESCRIPTION = "model.json"
EMBEDDED = Path(__file__).parents[1] / "weights"
DEFAULT = EMBEDDED / "series"
EVENT = "event"  # folder of the files of its models


@dataclass(frozen=True, eq=False)
class RiskModel:
    """What scores; None where the folder has none. digest: SHA-256 of the folder's files and of the choice."""

    targets: TargetModel | None
    event: EventModel | None
    described: Mapping[str, Any]
    digest: str

    @classmethod
    def from_pretrained(
        cls, folder: Path | None = None, *, targets: str = "champion", event: str = "champion"
    ) -> RiskModel:
        """Load a folder that stage=train left, by default the embedded one; of its models the named ones.

        Raises InputError: weights_missing, weights_unreadable, weights_newer, or model_unknown for one that is not
        in the folder and needs training.
        """
        place = folder or DEFAULT
        described = describe(place)
        model = cls(
            targets=_targets(place, described.get("targets"), targets),
            event=_event(place, described.get("event"), event),
            described=described,
            digest=model_digest(place, targets, event),
        )
        if model.targets is None and model.event is None:
            raise INPUTS("model_missing", folder=place)
        return model

    def require(self, columns: Columns) -> None:
        """Raise InputError, schema_differs, where a table lacks what a model that forecasts it was trained on.

        A riskformer of series takes any table: each series is a row of its own.
        """
        if isinstance(self.targets, RiskformerCovariates) and columns.targets:
            self.targets.require(columns)
        if self.event is not None and columns.event is not None:
            require_same(columns_of(self.described["event"]["columns"]), columns)


def load_model(
    folder: Path | str | None = None,
    name: str = "champion",
    *,
    event: str | None = None,
    device: str = "auto",
) -> RiskModel:
    """Load a trained model, by default the one that comes with the program, and move it to a device.

    folder: what stage=train left in `run_dir/model`; None is the embedded model of daily returns.
    name: "champion", the winner on development data, or one of its models or of the baselines, such as "gjr_garch".
    event: the model of the event, where it is another one. device: "auto" (a GPU if there is one), "cpu" or "cuda".
    Raises InputError: weights_missing, weights_unreadable, weights_newer, model_unknown; ConfigError no_gpu.

    >>> from apps import risk
    >>> risk.load_model(name="gjr_garch").targets.name
    'gjr_garch'
    """
    path = None if folder is None else Path(folder)
    return on_device(RiskModel.from_pretrained(path, targets=name, event=event or name), device)


def save_riskformer(model: RiskformerTargets, folder: Path) -> dict[str, Any]:
    """Write the network into a folder and return what model.json is to say of it."""
    write_network(folder, model.net.state_dict())
    return {
        "size": dataclasses.asdict(model.net.size),
        "context": model.context,
        "residuals": None if model.residual_KQ is None else np.round(model.residual_KQ, 6).tolist(),
        "shapes": list(model.shapes),
    }


def write_description(folder: Path, described: Mapping[str, Any]) -> None:
    """Write model.json; the last thing to be written of a folder."""
    models = (described.get("targets") or {}).get("models", {})
    version = FORMAT if any("covariates" in told for told in models.values()) else 1
    write_json(make_folder(folder) / DESCRIPTION, {"format": version, **described})


def describe(folder: Path | None = None) -> dict[str, Any]:
    """Return what model.json of a folder says, by default the embedded one's.

    Raises InputError: weights_missing, weights_unreadable, weights_newer.
    """
    folder = folder or DEFAULT
    path = folder / DESCRIPTION
    try:
        described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(described["format"])
    except FileNotFoundError as error:
        raise INPUTS("weights_missing", folder=folder, file=DESCRIPTION) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise INPUTS("description_unreadable", path=path) from error
    if version > FORMAT:
        raise INPUTS("weights_newer", path=path, format=version, newest=FORMAT)
    return described


def _targets(folder: Path, part: Mapping[str, Any] | None, wish: str) -> TargetModel | None:
    if part is None:
        return None
    name = part["champion"] if wish == "champion" or wish not in TARGET_MODELS else wish
    if name in BASELINES:
        return BASELINES[name]()
    told = _told(folder, part, name)
    if name == "riskformer":
        return (
            RiskformerCovariates.load(folder, told) if "covariates" in told else load_riskformer(folder, told)
        )
    from apps.risk.models.forecasting_models import load_forecasting  # an extra, and slow to import

    return load_forecasting(folder / name)


def _event(folder: Path, part: Mapping[str, Any] | None, wish: str) -> EventModel | None:
    if part is None:
        return None
    from apps.risk.models.event_models import load_event_model  # scikit-learn is slow to import

    name = part["champion"] if wish == "champion" or wish not in EVENT_MODELS else wish
    return load_event_model(name, folder / EVENT, _told(folder, part, name))


def load_riskformer(folder: Path, told: Mapping[str, Any]) -> RiskformerTargets:
    """Load the network of a folder. Raises InputError where its file is missing or of another shape."""
    net = RiskFormer(Size(**told["size"]))
    load_weights(net, read_network(folder), folder)
    require_sound(net, str(folder))
    lower, upper = told["shapes"]
    residual_KQ = None if told["residuals"] is None else np.array(told["residuals"])
    return RiskformerTargets(net.eval(), int(told["context"]), residual_KQ, (float(lower), float(upper)))


def on_device(model: RiskModel, device: str) -> RiskModel:
    """Move networks to a device: auto, cpu or cuda. Raises ConfigError, no_gpu."""
    chosen = choose_device(device)
    if isinstance(model.targets, RiskformerTargets | RiskformerCovariates):
        model.targets.net.to(chosen)
    return model


def _told(folder: Path, part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    models: Mapping[str, Any] = part["models"]
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
