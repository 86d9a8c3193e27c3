"""Which networks of the folders of stage=export are served, and in which format; free of torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core.export.fit import runs_here
from core.export.formats import AUTO, FORMATS
from core.export.manifest import Artifact, Manifest, read_manifest
from core.serving.batching import Rows
from core.serving.model_process import ModelSource
from core.serving.reasons import MODELS
from core.serving.tensors import DATATYPES
from core.terminal.notes import print_note

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_BUILDER = "core.serving.exported_model:build"


@dataclass(frozen=True)
class Exported:
    """A network that can be served. name: of the model, "app-network". weights: their SHA-256."""

    name: str
    folder: Path
    artifact: Artifact
    app: str
    weights: str

    def source(self, threads: int | None) -> ModelSource:
        """Return what a process makes its model of."""
        arguments = {"folder": str(self.folder), "artifact": asdict(self.artifact), "threads": threads}
        return ModelSource(_BUILDER, arguments, threads)


def exported(folders: Sequence[Path], runtime: str) -> list[Exported]:
    """Return the networks of folders, each in a format; a note names those that are not there in it.

    runtime: a format, or "auto": of each network the fastest that runs here. Raises InputError and ConfigError: as
    read_manifest does; models_name, models_twice, models_datatype, models_none.
    """
    models: dict[str, Exported] = {}
    for folder in folders:
        manifest = read_manifest(folder)
        for one in _chosen(manifest, folder, runtime):
            model = _checked(
                Exported(f"{manifest.app}-{one.network}", folder, one, manifest.app, manifest.model)
            )
            if model.name in models:
                raise MODELS("models_twice", name=model.name, first=models[model.name].folder, second=folder)
            models[model.name] = model
    if not models:
        raise MODELS("models_none", runtime=runtime, paths=", ".join(map(str, folders)))
    return list(models.values())


def rows_of(artifact: Artifact) -> Rows | None:
    """Return where an artifact's rows lie, None where requests must not be joined.

    That is where a row depends on its batch, where nothing was said of it, or where an output has no rows.
    """
    axis = next((axis for axis in artifact.axes if axis.name == artifact.rows), None)
    if axis is None or artifact.rows_independent is not True:
        return None
    inputs, outputs = (
        {port.name: port.dims.index(axis.name) for port in ports if axis.name in port.dims}
        for ports in (artifact.inputs, artifact.outputs)
    )
    if not inputs or len(outputs) != len(artifact.outputs):
        return None
    return Rows(inputs, outputs, axis.most)


def _chosen(manifest: Manifest, folder: Path, runtime: str) -> list[Artifact]:
    """Return an artifact of each network, and say which have none."""
    networks = dict.fromkeys([*manifest.networks, *(one.network for one in manifest.artifacts)])
    chosen = []
    missing = []
    for network in networks:
        held = [one for one in manifest.artifacts if one.network == network and one.format in FORMATS]
        fitting = [one for one in held if runtime == one.format or (runtime == AUTO and runs_here(one))]
        if fitting:
            chosen.append(min(fitting, key=lambda one: one.milliseconds))
        else:
            missing.append(network)
    if missing and chosen:
        what = "in a format that runs here" if runtime == AUTO else f"in {runtime}"
        print_note(f"{', '.join(missing)} of {folder} is not served: it holds nothing of it {what}")
    return chosen


def _checked(model: Exported) -> Exported:
    """Refuse what requests could not name, or could not send."""
    if not _NAME.fullmatch(model.name):
        raise MODELS("models_name", name=model.name, path=model.folder)
    for port in (*model.artifact.inputs, *model.artifact.outputs):
        if port.dtype not in DATATYPES:
            raise MODELS("models_datatype", name=model.name, port=port.name, datatype=port.dtype)
    return model
