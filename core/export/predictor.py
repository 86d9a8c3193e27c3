"""From a manifest to something that is called like the network itself, whatever its format."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from core.export.formats import AUTO, FORMATS, backend_of
from core.export.manifest import NAME, Artifact, read_manifest, verified
from core.export.network import Port, Runner
from core.export.reasons import ARTIFACTS, FAULTS, INPUTS, OPTIONS
from core.runs.provenance import device
from core.terminal.notes import print_note


class Predictor:
    """A network in one format. Called with the inputs by position, it returns what the network returns.

    Raises InputError for inputs that the network does not take: another count, type, rank or size, values that are not
    finite, or outside the range that it was made for.
    """

    def __init__(self, artifact: Artifact, runner: Runner) -> None:
        self.artifact, self._runner = artifact, runner
        self._axes = {axis.name: axis for axis in artifact.axes}

    def __call__(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the output, or a tuple where there are several."""
        self._require_valid(inputs)
        outputs = self._runner(*inputs)
        if len(outputs) != len(self.artifact.outputs):
            raise FAULTS(
                "ports_differ",
                network=self.artifact.network,
                wanted=len(self.artifact.outputs),
                count=len(outputs),
            )
        return outputs[0] if len(outputs) == 1 else outputs

    def _require_valid(self, inputs: tuple[Tensor, ...]) -> None:
        network, ports = self.artifact.network, self.artifact.inputs
        if len(inputs) != len(ports):
            names = ", ".join(port.name for port in ports)
            raise INPUTS("predict_count", network=network, wanted=len(ports), names=names, count=len(inputs))
        sizes: dict[str, int] = {}
        for port, tensor in zip(ports, inputs, strict=True):
            self._require_shape(port, tensor, sizes)
            self._require_values(port, tensor)

    def _require_shape(self, port: Port, tensor: Tensor, sizes: dict[str, int]) -> None:
        network, given = self.artifact.network, str(tensor.dtype).removeprefix("torch.")
        if given != port.dtype:
            raise INPUTS("predict_type", network=network, name=port.name, given=given, wanted=port.dtype)
        if tensor.ndim != len(port.dims):
            dims = ", ".join(map(str, port.dims))
            raise INPUTS(
                "predict_rank",
                network=network,
                name=port.name,
                given=tensor.ndim,
                wanted=len(port.dims),
                dims=dims,
            )
        for index, (dim, size) in enumerate(zip(port.dims, tensor.shape, strict=True)):
            if isinstance(dim, int):
                allowed, fits = str(dim), size == dim
            else:
                axis = self._axes[dim]
                allowed, fits = axis.allowed(), axis.allows(size)
            if not fits:
                axis_name = dim if isinstance(dim, str) else f"dimension {index}"
                raise INPUTS(
                    "predict_size",
                    network=network,
                    name=port.name,
                    given=size,
                    axis=axis_name,
                    allowed=allowed,
                )
            if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
                raise INPUTS(
                    "predict_differs",
                    network=network,
                    axis=dim,
                    first=sizes[dim],
                    second=size,
                    name=port.name,
                )

    def _require_values(self, port: Port, tensor: Tensor) -> None:
        if not tensor.numel() or tensor.dtype == torch.bool:
            return
        # one pass finds both: NaN and infinity come through the extremes
        low, high = (float(extreme) for extreme in torch.aminmax(tensor))
        network = self.artifact.network
        if not (abs(low) < float("inf") and abs(high) < float("inf")):
            raise INPUTS("predict_not_finite", network=network, name=port.name)
        least, most = port.low, port.high
        if (least is not None and low < least) or (most is not None and high > most):
            bounds = " to ".join("any" if bound is None else f"{bound:g}" for bound in (least, most))
            raise INPUTS("predict_range", network=network, name=port.name, low=low, high=high, allowed=bounds)


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
    if manifest.app != app or manifest.model != model:
        raise ARTIFACTS("artifact_other_model", path=folder, held=manifest.model[:12], own=model[:12])
    wanted = set(networks)
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


def require_fit(artifact: Artifact, folder: Path) -> None:
    """Refuse compiled code of another processor, or of another PyTorch. Raises InputError."""
    missing = sorted(set(artifact.instructions) - set(device()["isa"]))
    if missing:
        raise ARTIFACTS(
            "artifact_instructions", name=artifact.format, path=folder / NAME, needed=", ".join(missing)
        )
    made = artifact.versions.get("torch")
    here = importlib.metadata.version("torch")
    if FORMATS[artifact.format].compiled and made is not None and made != here:
        raise ARTIFACTS(
            "artifact_versions",
            name=artifact.format,
            path=folder / NAME,
            package="torch",
            made=made,
            here=here,
        )


def _fastest(of_format: Mapping[str, list[Artifact]]) -> list[Artifact]:
    """Return the artifacts of the format that saves most time over all networks; none where no format saves any."""
    saved = {
        name: sum(one.eager_milliseconds - one.milliseconds for one in held)
        for name, held in of_format.items()
        if held and FORMATS[name].runtime
    }
    best = max(saved, key=lambda name: saved[name], default=None)
    return of_format[best] if best is not None and saved[best] > 0 else []
