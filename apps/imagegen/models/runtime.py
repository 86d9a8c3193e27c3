"""A pipeline whose networks were exported: stage=export's artifacts compute in place of PyTorch's networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from apps.imagegen.models.pipeline_folder import TEXT_ENCODER, UNET, VAE_DECODER, VAE_ENCODER, Pipeline
from apps.imagegen.reasons import RUNTIME
from core.compute.threads import one_thread
from core.export.formats import AUTO
from core.export.manifest import read_manifest
from core.export.network import as_tuple
from core.export.predictor import Predictor, open_artifact, open_predictors, runtime_of

APP = "imagegen"
NETWORKS = (TEXT_ENCODER, UNET, VAE_ENCODER, VAE_DECODER)
_UNBOUNDED = 2**31


def on_artifacts(pipeline: Pipeline, folder: Path, runtime: str) -> Pipeline:
    """Return the pipeline, which must be on the CPU, with the networks of an export of it.

    runtime: their format, or "auto": the fastest, and PyTorch where none is faster. Only artifacts whose rows do not
    depend on their batch are taken; a network that the format lacks stays PyTorch's, but not the U-Net. They compute on
    as many threads as PyTorch does where that gives the bits that one thread gives, else on one. Raises as
    `open_predictors` does, and InputError runtime_without_unet and runtime_unet_rows.
    """
    _require_unet(folder, runtime, pipeline.digest)
    threads = torch.get_num_threads()
    networks = open_predictors(
        folder, runtime, APP, pipeline.digest, NETWORKS, threads=1, rows_independent=True
    )
    if UNET not in networks:
        return pipeline
    if threads > 1:
        several = {
            name: open_artifact(one.artifact, folder, threads=threads) for name, one in networks.items()
        }
        if all(_same_bits(networks[name], several[name]) for name in networks):
            networks = several
    return replace(pipeline, networks=networks, runtime=name_of(networks))


def name_of(networks: Mapping[str, Predictor]) -> str:
    """Return what recipes call a runtime: its format, and the SHA-256 over the artifacts' files, "openvino:…"."""
    files = sorted(
        (name, file.path, file.sha256)
        for name, predictor in networks.items()
        for file in predictor.artifact.files
    )
    return f"{runtime_of(networks)}:{hashlib.sha256(json.dumps(files).encode()).hexdigest()}"


def most_rows(pipeline: Pipeline) -> int:
    """Return the most rows of a batch that the U-Net takes."""
    run = pipeline.networks.get(UNET)
    if not isinstance(run, Predictor):
        return _UNBOUNDED
    return next(axis.most for axis in run.artifact.axes if axis.name == "B")


def _require_unet(folder: Path, runtime: str, model: str) -> None:
    """Refuse a format that the export holds networks in, but no U-Net that can draw; `open_predictors` says the rest.

    PyTorch's own formats are among them: as PyTorch does, they compute a row's last bits otherwise in batches of one or
    two rows than in larger ones.
    """
    manifest = read_manifest(folder)
    if runtime == AUTO or manifest.model != model:
        return
    unets = {one.format: one.rows_independent for one in manifest.artifacts if one.network == UNET}
    held = ", ".join(name for name, independent in unets.items() if independent) or "none"
    if unets.get(runtime) is False:
        raise RUNTIME("runtime_unet_rows", runtime=runtime, held=held)
    if runtime not in unets and any(one.format == runtime for one in manifest.artifacts):
        raise RUNTIME("runtime_without_unet", path=folder, runtime=runtime, held=held)


def _same_bits(alone: Predictor, several: Predictor) -> bool:
    """Compare one network on one thread with the same on several."""
    inputs = _random_inputs(several)
    with one_thread():
        first = as_tuple(alone(*inputs))
    return all(torch.equal(one, other) for one, other in zip(first, as_tuple(several(*inputs)), strict=True))


def _random_inputs(predictor: Predictor) -> tuple[Tensor, ...]:
    """Return inputs of the first sizes that the artifact was checked at."""
    artifact, generator = predictor.artifact, torch.Generator().manual_seed(0)
    sizes = artifact.cases[0].sizes
    inputs = []
    for port in artifact.inputs:
        shape = [dim if isinstance(dim, int) else sizes[dim] for dim in port.dims]
        if port.dtype == "int64":
            inputs.append(torch.randint(int(port.high or 0) + 1, shape, generator=generator))
        else:
            inputs.append(torch.rand(shape, generator=generator))
    return tuple(inputs)
