"""From a manifest to something that is called like the network itself, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from core.export.fit import require_fit
from core.export.formats import AUTO, FORMATS, backend_of
from core.export.inputs import Given, require_valid
from core.export.manifest import Artifact, read_manifest, verified
from core.export.network import Runner
from core.export.reasons import ARTIFACTS, FAULTS, OPTIONS
from core.terminal.notes import print_note


class Predictor:
    """A network in one format. Called with the inputs by position, it returns what the network returns.

    Raises InputError for inputs that the network does not take: another count, type, rank or size, values that are not
    finite, or outside the range that it was made for.
    """

    def __init__(self, artifact: Artifact, runner: Runner) -> None:
        self.artifact, self._runner = artifact, runner

    def __call__(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the output, or a tuple where there are several."""
        require_valid(self.artifact, [_given(one) for one in inputs])
        outputs = self._runner(*inputs)
        if len(outputs) != len(self.artifact.outputs):
            raise FAULTS(
                "ports_differ",
                network=self.artifact.network,
                wanted=len(self.artifact.outputs),
                count=len(outputs),
            )
        return outputs[0] if len(outputs) == 1 else outputs


def open_predictors(
    folder: Path,
    runtime: str,
    app: str,
    model: str,
    networks: Iterable[str],
    *,
    threads: int | None = None,
    rows_independent: bool = False,
) -> Mapping[str, Predictor]:
    """Return the networks of an export in one format, by name; those that the format lacks are not in it.

    runtime: a format, or "auto": the one that the manifest shows to be fastest on the whole; empty where none is faster
    than eager. A note says what PyTorch is left with. app, model: what has to have been exported; model is the digest
    of the weights in use. threads: None takes as many as there are cores. rows_independent: only artifacts whose rows
    do not depend on their batch.

    Raises InputError and ConfigError: a damaged or foreign manifest, a changed file, another processor, a missing
    format or package.
    """
    manifest = read_manifest(folder)
    wanted = set(networks)
    if manifest.app == app and manifest.networks and not wanted & manifest.networks.keys():
        raise ARTIFACTS(
            "artifact_other_networks",
            path=folder,
            held=", ".join(sorted(manifest.networks)),
            wanted=", ".join(sorted(wanted)),
        )
    if manifest.app != app or manifest.model != model:
        raise ARTIFACTS("artifact_other_model", path=folder, held=manifest.model[:12], own=model[:12])
    of_format = {
        name: [one for one in manifest.artifacts if one.format == name and one.network in wanted]
        for name in FORMATS
    }
    if rows_independent:
        of_format = {
            name: [one for one in held if one.rows_independent is not False]
            for name, held in of_format.items()
        }
    chosen = _fastest(of_format) if runtime == AUTO else of_format.get(runtime, [])
    if not chosen and runtime != AUTO:
        held = ", ".join(name for name, those in of_format.items() if those) or "none"
        raise OPTIONS(
            "runtime_not_there", runtime=runtime, network=", ".join(sorted(wanted)), path=folder, held=held
        )
    left = sorted(wanted - {one.network for one in chosen})
    if left:
        where = f"in {chosen[0].format}" if chosen else "that is faster"
        print_note(f"PyTorch runs {', '.join(left)}: {folder} holds nothing of it {where}")
    return {one.network: open_artifact(one, folder, threads=threads) for one in chosen}


def runtime_of(predictors: Mapping[str, Predictor]) -> str:
    """Return the format that predictors run in; an empty text where there are none, and PyTorch runs the networks."""
    return next((one.artifact.format for one in predictors.values()), "")


def open_artifact(artifact: Artifact, folder: Path, *, threads: int | None = None) -> Predictor:
    """Return one artifact, ready to be called, after its files were verified. Raises as `open_predictors` does."""
    one = FORMATS[artifact.format]
    require_fit(artifact, folder)
    file = verified(artifact, folder)
    return Predictor(artifact, backend_of(one).load(file, threads))


def _given(tensor: Tensor) -> Given:
    def extremes() -> tuple[float, float]:
        low, high = torch.aminmax(tensor)
        return float(low), float(high)

    return Given(str(tensor.dtype).removeprefix("torch."), tensor.shape, extremes)


def _fastest(of_format: Mapping[str, list[Artifact]]) -> list[Artifact]:
    """Return the artifacts of the format that saves most time over all networks; none where no format saves any."""
    saved = {
        name: sum(one.eager_milliseconds - one.milliseconds for one in held)
        for name, held in of_format.items()
        if held and FORMATS[name].runtime
    }
    best = max(saved, key=lambda name: saved[name], default=None)
    return of_format[best] if best is not None and saved[best] > 0 else []
