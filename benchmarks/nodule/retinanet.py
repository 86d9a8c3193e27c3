"""MONAI's RetinaNet in every format: what each costs in exactness and gives in time.

The bundle's weights are not part of this suite: the network is MONAI's own initialisation from a seed, so what is
measured here is arithmetic, and no CPM.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from apps.nodule.config import DataConfig
from apps.nodule.data.load import load
from apps.nodule.data.lung_box import lung_box
from apps.nodule.data.series import scan
from apps.nodule.data.training.development import development_scans
from apps.nodule.data.training.scenes import SPACING_MM
from apps.nodule.data.training.training_set import load_training_set
from apps.nodule.data.volume import Volume
from apps.nodule.export_retinanet import cut_of, retinanet_network, volume_of
from apps.nodule.models.retinanet import RetinaNetDetector, build_network, preprocess
from core.compute.threads import one_thread
from core.errors import InputError
from core.export.check import error_of
from core.export.formats import FORMATS, backend_of, installed
from core.export.network import Network, Runner, Tensors, as_tuple
from core.runs.log import RunLog

SEED = 0
EDGE = 64  # voxels of the image that is timed and compared
TILE = (160, 160, 56)  # what model.tile is by default
CHESTS = 3
CALIBRATION_CHESTS = 4
TURNS = 3
FIRST = (".xml", ".onnx", ".pt2", ".pt")  # suffixes of the file that is opened


def measure_retinanet(cache: Path, folder: Path) -> dict[str, Any]:
    """Return errors, cosines, times and sizes by format; files that were made once are kept in the cache.

    folder: a scan whose lungs are compared too; calibration sees generated chests alone.
    """
    detector = RetinaNetDetector(random_weights(cache), device="cpu")
    cuts = [cut_of(scan) for scan in development_scans(CHESTS, cache)]
    images = {
        "generated": [_middle(preprocess(volume_of(cut.grid))[0]) for cut in cuts],
        "real": _real(folder),
    }
    with RunLog(cache / "retinanet.jsonl") as log:
        data = DataConfig(source="phantoms", phantoms=CALIBRATION_CHESTS, cache=str(cache))
        network = retinanet_network(detector, cuts, lambda: load_training_set(data, SEED, log).scenes)
        files, absent = _files(network, cache / "retinanet" / detector.digest[:12])
    exact = {kind: [_eager(network, one) for one in those] for kind, those in images.items()}
    tile = _tile(preprocess(load_first(folder))[0])
    seconds = {"pytorch": _seconds(partial(_eager, network), tile)}
    formats = {}
    for name, file in files.items():
        backend = backend_of(FORMATS[name])
        close = _closeness(backend.load(file, None), images, exact)
        formats[name] = {
            "within_tolerance": close["error"]
            <= FORMATS[name].tolerance,  # else stage=export does not publish it
            "MB": round(sum(one.stat().st_size for one in file.parent.glob(f"{file.stem}.*")) / 1e6, 1),
            **_times(network, backend.load(file, 1), images["generated"][0]),
            **close,
        }
        seconds[name] = _seconds(backend.load(file, None), tile)
    return {
        "headline": _headline(formats, seconds),
        "weights": detector.digest,
        "weights_are": f"MONAI's initialisation, torch seed {SEED}: the bundle's are not part of this suite",
        "image": [EDGE] * 3,
        "tile": list(TILE),
        "tile_seconds": seconds,
        "formats": formats,
        "absent": absent | dict(network.not_applicable),
    }


def random_weights(cache: Path) -> Path:
    """Return a file of the network as MONAI initialises it from the seed."""
    path = cache / "retinanet" / "random.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = build_network()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), path)
    return path


def load_first(folder: Path) -> Volume:
    """Return the first accepted series of a folder. Raises InputError where there is none."""
    accepted = [item for item in scan(folder) if item.status == "accepted"]
    if not accepted:
        raise InputError("no_series", f"{folder} holds no series that is accepted")
    return load(accepted[0])


def cosine(one: Tensor, other: Tensor) -> float:
    """Return the cosine of two tensors as vectors."""
    return float(
        torch.nn.functional.cosine_similarity(one.double().flatten(), other.double().flatten(), dim=0)
    )


def _files(network: Network, folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the file of each format that can be made here, and why the others cannot."""
    files, absent = {}, {}
    for one in installed():
        if not one.runtime or one.name in network.not_applicable:
            continue
        backend = backend_of(one)
        path = folder / one.name / network.name
        kept = next((file for file in sorted(path.parent.glob("*")) if file.suffix in FIRST), None)
        why = getattr(backend, "lacking", lambda: None)()
        if kept is None and why is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                (kept, *_) = backend.write(network, path)
            except Exception as error:  # a compiler's refusal can be of any type
                why = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            print(f"{one.name}: {why or 'made'}", flush=True)
        if kept is None:
            absent[one.name] = str(why)
        else:
            files[one.name] = kept
    return files, absent


def _eager(network: Network, *inputs: Tensor) -> Tensors:
    with torch.no_grad():
        return as_tuple(network.module(*inputs))


def _middle(image_1XYZ: Tensor) -> Tensor:
    """Return the middle of an image, (1, 1, EDGE, EDGE, EDGE)."""
    x, y, z = (slice((size - EDGE) // 2, (size - EDGE) // 2 + EDGE) for size in image_1XYZ.shape[1:])
    return image_1XYZ[None, :, x, y, z].contiguous()


def _real(folder: Path) -> list[Tensor]:
    """Return images of a real lung: the thirds of its box, from feet to head."""
    grid = lung_box(load_first(folder), SPACING_MM).grid
    depth = grid.hu_DHW.shape[0] // CHESTS
    return [
        _middle(preprocess(volume_of(replace(grid, hu_DHW=grid.hu_DHW[start : start + max(depth, 81)])))[0])
        for start in range(0, depth * CHESTS, depth)
    ]


def _tile(image_1XYZ: Tensor) -> Tensor:
    x, y, z = ((size - edge) // 2 for size, edge in zip(image_1XYZ.shape[1:], TILE, strict=True))
    return image_1XYZ[None, :, x : x + TILE[0], y : y + TILE[1], z : z + TILE[2]].contiguous()


def _times(network: Network, runner: Runner, image: Tensor) -> dict[str, float]:
    """Return medians in ms on one thread, of PyTorch and the format in turns."""
    eager, own = [], []
    with one_thread():
        _eager(network, image)
        runner(image)
        for _ in range(TURNS):
            eager.append(_seconds(partial(_eager, network), image))
            own.append(_seconds(runner, image))
    slow, fast = statistics.median(eager), statistics.median(own)
    return {"ms": round(fast * 1e3), "pytorch_ms": round(slow * 1e3), "ratio": round(slow / fast, 2)}


def _seconds(run: Callable[..., Any], image: Tensor) -> float:
    began = time.perf_counter()
    run(image)
    return round(time.perf_counter() - began, 3)


def _closeness(
    runner: Runner, images: Mapping[str, Sequence[Tensor]], exact: Mapping[str, Sequence[Tensors]]
) -> dict[str, Any]:
    """Return the largest error, and by kind of image the lowest cosine of all outputs together and of each.

    Of class logits also that of what varies, less each channel's mean: their bias alone makes vectors parallel.
    """
    given = {kind: [runner(one) for one in those] for kind, those in images.items()}
    pairs = {kind: list(zip(exact[kind], given[kind], strict=True)) for kind in images}
    return {
        "error": max(error_of(one, other) for those in pairs.values() for one, other in those),
        "cosine_together": {
            kind: lowest_cosines(_joined(those), centred=False)[0] for kind, those in pairs.items()
        },
        "cosine": {kind: lowest_cosines(those, centred=False) for kind, those in pairs.items()},
        "cosine_of_variation": {kind: lowest_cosines(those, centred=True) for kind, those in pairs.items()},
    }


def lowest_cosines(pairs: Sequence[tuple[Tensors, Tensors]], *, centred: bool) -> list[float]:
    """Return for each output the lowest cosine of all pairs; centred: less each channel's mean."""
    lowest = []
    for number in range(len(pairs[0][0])):
        cosines = []
        for exact, given in pairs:
            mean = exact[number].mean((2, 3, 4), keepdim=True) if centred else 0.0
            cosines.append(cosine(exact[number] - mean, given[number] - mean))
        lowest.append(round(min(cosines), 5))
    return lowest


def _joined(pairs: Sequence[tuple[Tensors, Tensors]]) -> list[tuple[Tensors, Tensors]]:
    return [tuple((torch.cat([one.flatten() for one in maps]),) for maps in pair) for pair in pairs]  # type: ignore[misc]


def _headline(formats: Mapping[str, Any], seconds: Mapping[str, float]) -> dict[str, str]:
    lines = {
        name: f"{one['ratio']:.1f}\N{MULTIPLICATION SIGN}, cosine ≥ {min(one['cosine_together'].values()):.4f}"
        for name, one in formats.items()
    }
    fastest = min(seconds, key=lambda name: seconds[name])
    return {**lines, "tile": f"{seconds['pytorch']:.0f} s → {seconds[fastest]:.0f} s ({fastest})"}
