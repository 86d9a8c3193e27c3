"""stage=export: the detector's networks in the formats that hospitals and scanners run, each checked by CPM.

What is exported of the compact detector: "proposal" (a heat map over a lung) and "judge" (a verdict on a cube). What is
around them, lungs, slabs, candidates, stays Python; deploy/cpp shows the same in C++. `export_retinanet` declares what
is exported of MONAI's RetinaNet.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from apps.nodule.config import DataConfig, NoduleConfig
from apps.nodule.data.training.development import DevelopmentScan, development_scans
from apps.nodule.data.training.scenes import Scene
from apps.nodule.data.training.training_set import has_real_data, load_training_set
from apps.nodule.metrics.froc import Marks, Spheres, froc, match
from apps.nodule.models.compact import CROP, normalise
from apps.nodule.models.compact_detector import JUDGED_AT_ONCE, CompactDetector, load_compact, model_digest
from apps.nodule.models.findings import Candidate
from apps.nodule.models.heatmap import peaks
from apps.nodule.models.tiling import padded_cut
from apps.nodule.torchserve_handler import archive_of
from core.export.formats import Format, chosen
from core.export.manifest import Manifest
from core.export.network import Network, Tensors
from core.export.ports import Axis, Port
from core.export.publish import Progress, publish
from core.export.report import finish
from core.export.task import Metric, Replaced, Task
from core.runs.folder import Run
from core.runs.log import RunLog
from core.terminal.notes import print_note

APP = "nodule"
CALIBRATION_SCENES = 4
CALIBRATION_SLABS = 48  # the judge is calibrated on the cubes that are proposed in them
SLAB = (64, 96, 96)  # voxels of a calibration slab
EDGE_TILE = 64  # voxels along each axis, at most, on small devices: their memory is planned for the largest
SEED = 0

Scenes = Callable[[], Sequence[Scene]]  # lungs to calibrate 8-bit integers on, made where they are needed


class Annotated(Protocol):
    """What has known nodules: centres in LPS mm (K, 3), diameters in mm (K,)."""

    @property
    def centres_mm_K3(self) -> np.ndarray:
        """Centres, LPS mm."""
        ...

    @property
    def diameters_mm_K(self) -> np.ndarray:
        """Diameters, mm."""
        ...


def run(cfg: NoduleConfig, run: Run) -> int:
    """Export the detector of `cfg.weights` to `cfg.output`; return 4 where a network was refused in a format, else 0.

    Raises as `export` does.
    """
    manifest = export(
        cfg, run.log, on_step=lambda step: run.say(f"{step.network}, {step.format}: {step.outcome}")
    )
    return finish(manifest, run)


def export(cfg: NoduleConfig, log: RunLog, on_step: Callable[[Progress], None]) -> Manifest:
    """Export the detector of `cfg.weights` in `cfg.formats` to `cfg.output`, and return the manifest.

    Development scans and calibration material are generated once and kept in `cfg.data.cache`. Raises ConfigError for
    formats that are not known or whose package is missing, InputError for weights or a folder that cannot be used.
    """
    of_model = _export_compact if cfg.model.name == "compact" else _export_retinanet
    return of_model(cfg, chosen(cfg.formats), lambda: _scenes(cfg.data, log), on_step)


def _export_compact(
    cfg: NoduleConfig, formats: Sequence[Format], scenes: Scenes, on_step: Callable[[Progress], None]
) -> Manifest:
    detector = load_compact(replace(cfg.model, device="cpu"), cfg.weights)
    scans = _development_scans(cfg)

    def find(networks: Replaced) -> list[list[Candidate]]:
        other = detector.with_networks(networks)
        return [other.nodules(scan.box)[0] for scan in scans]

    return publish(
        networks_of(detector, scans, scenes),
        task_of(f"{len(scans)} generated chests of development", scans, find),
        formats,
        Path(str(cfg.output)),
        app=APP,
        model=model_digest(detector.net),
        archive=archive_of(detector),
        on_step=on_step,
    )


def _export_retinanet(
    cfg: NoduleConfig, formats: Sequence[Format], scenes: Scenes, on_step: Callable[[Progress], None]
) -> Manifest:
    # late imports: MONAI takes seconds, and the compact detector does without it
    from apps.nodule.export_retinanet import cost_of, cut_of, cuts_in_words, retinanet_network, volume_of
    from apps.nodule.models.retinanet import load_retinanet

    detector = load_retinanet(replace(cfg.model, device="cpu"), cfg.weights)
    cuts = [cut_of(scan) for scan in _development_scans(cfg)]
    print_note(
        f"CPM takes {cost_of(cuts):.0f} TFLOP in PyTorch, and again in each format: {cuts_in_words(cuts)}"
    )

    def find(networks: Replaced) -> list[list[Candidate]]:
        other = detector.with_networks(networks)
        return [other.candidates(volume_of(cut.grid)) for cut in cuts]

    return publish(
        [retinanet_network(detector, cuts, scenes)],
        task_of(cuts_in_words(cuts), cuts, find),
        formats,
        Path(str(cfg.output)),
        app=APP,
        model=detector.digest,
        on_step=on_step,
    )


def _development_scans(cfg: NoduleConfig) -> list[DevelopmentScan]:
    return development_scans(cfg.export.scans, Path(cfg.data.cache), cfg.data.anatomy_mm)


def networks_of(detector: CompactDetector, scans: Sequence[DevelopmentScan], scenes: Scenes) -> list[Network]:
    """Return the declaration of both networks. scenes: lungs to calibrate 8-bit integers on, read where needed."""
    proposing = detector.net.proposal

    def real() -> Iterator[Tensors]:
        chests = [_normalised(scan.box.grid.hu_DHW) for scan in scans]
        return _slabs(chests, len(scans), (EDGE_TILE,) * 3)  # which small devices take too

    @functools.cache
    def lungs() -> list[Tensor]:
        return [_normalised(scene.hu_DHW) for scene in scenes()]

    def calibration() -> Iterator[Tensors]:
        return _slabs(lungs(), CALIBRATION_SLABS, SLAB)

    edge = tuple(Axis(name, 16, EDGE_TILE, 8) for name in "DHW")
    edge_sizes = ({"D": 64, "H": 64, "W": 64}, {"D": 48, "H": 64, "W": 32})
    proposal = Network(
        name="proposal",
        about="a heat map of nodule centres over a lung, cells of 4 mm",
        module=detector.net.proposal.float(),
        inputs=(Port("hu", (1, 1, "D", "H", "W"), low=-1.0, high=1.0),),
        outputs=(Port("cells", (1, 5, "D/4", "H/4", "W/4")),),
        axes=tuple(Axis(name, 16, 1024, 8) for name in "DHW"),
        sizes=(
            {"D": 96, "H": 128, "W": 112},
            {"D": 16, "H": 24, "W": 40},
            {"D": 64, "H": 72, "W": 136},
        ),
        draw=lambda sizes, generator: (_noise((1, 1, sizes["D"], sizes["H"], sizes["W"]), generator),),
        real=real,
        calibration=calibration,
        narrowed={"executorch": (edge, edge_sizes)},
        int8_error=0.01,
    )
    judge = Network(
        name="judge",
        about="whether the middle of a cube of 40 mm is a nodule, where exactly, and how large",
        module=detector.net.judge.float(),
        inputs=(Port("hu", ("B", 1, CROP, CROP, CROP), low=-1.0, high=1.0),),
        outputs=(Port("verdict", ("B", 5)),),
        axes=(Axis("B", 1, 64),),
        sizes=({"B": JUDGED_AT_ONCE}, {"B": 1}, {"B": 5}),
        draw=lambda sizes, generator: (_noise((sizes["B"], 1, CROP, CROP, CROP), generator),),
        real=lambda: _cubes(proposing, real()),
        calibration=lambda: _cubes(proposing, calibration()),
        rows="B",
        narrowed={"executorch": ((Axis("B", 1, JUDGED_AT_ONCE),), ({"B": 8}, {"B": 1}, {"B": 5}))},
    )
    return [proposal, judge]


def task_of(
    about: str, scans: Sequence[Annotated], find: Callable[[Replaced], Sequence[Sequence[Candidate]]]
) -> Task:
    """Return what must survive: CPM on generated chests that no weights were trained on.

    about: the chests, in words. find: networks that stand in for PyTorch's → the candidates of each.
    """
    metric = Metric("CPM", "competition performance metric, 0 to 1", "higher", 0.005)
    return Task(about, (metric,), lambda networks: {"CPM": cpm(scans, find(networks))})


def cpm(scans: Sequence[Annotated], candidates: Sequence[Sequence[Candidate]]) -> float:
    """Return the competition performance metric, 0 to 1, of the candidates on each scan, by LUNA16's rules."""
    marks = Marks(
        np.repeat(np.arange(len(scans)), [len(those) for those in candidates]),
        np.array([one.centre_mm for those in candidates for one in those], dtype=float).reshape(-1, 3),
        np.array([one.probability for those in candidates for one in those], dtype=float),
    )
    truth = Spheres(
        np.repeat(np.arange(len(scans)), [len(scan.diameters_mm_K) for scan in scans]),
        np.concatenate([scan.centres_mm_K3 for scan in scans]),
        np.concatenate([scan.diameters_mm_K for scan in scans]),
    )
    nothing = Spheres(np.zeros(0, dtype=int), np.zeros((0, 3)), np.zeros(0))
    return float(froc(match(marks, truth, nothing, scans=len(scans)), samples=1).cpm)


def _scenes(data: DataConfig, log: RunLog) -> Sequence[Scene]:
    """Return a few of the lungs that weights are trained on; real ones too where the folder is there."""
    few = replace(data, phantoms=min(data.phantoms, CALIBRATION_SCENES))
    if few.source == "mixed" and not has_real_data(few):
        print_note("8-bit integers are calibrated on generated chests only: there is no folder of real data")
        few = replace(few, source="phantoms")
    return load_training_set(few, SEED, log).scenes


def _noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * 2 - 1


def _normalised(hu_DHW: np.ndarray) -> Tensor:
    return normalise(torch.from_numpy(np.asarray(hu_DHW, dtype=np.float32)))


def _slabs(lungs: Sequence[Tensor], count: int, edges: tuple[int, ...]) -> Iterator[Tensors]:
    """Yield slabs of lungs in turn, (1, 1, *edges), at random positions."""
    generator = torch.Generator().manual_seed(SEED)
    for number in range(count):
        x_DHW = lungs[number % len(lungs)]
        size = [min(edge, whole // 8 * 8) for edge, whole in zip(edges, x_DHW.shape, strict=True)]
        first = [
            int(torch.randint(whole - edge + 1, (), generator=generator))
            for edge, whole in zip(size, x_DHW.shape, strict=True)
        ]
        d, h, w = (slice(start, start + edge) for start, edge in zip(first, size, strict=True))
        yield (x_DHW[d, h, w][None, None].contiguous(),)


def _cubes(proposal: nn.Module, slabs: Iterator[Tensors]) -> Iterator[Tensors]:
    """Yield a batch of cubes of each slab, (B, 1, CROP, CROP, CROP), where the proposal network is surest."""
    for (slab,) in slabs:
        with torch.inference_mode():
            centres_N3, _, _ = peaks(proposal(slab)[0], JUDGED_AT_ONCE, floor=0.0)
        corners = np.rint(centres_N3 - (CROP - 1) / 2).astype(int)
        x_DHW = slab[0, 0].numpy()
        cubes = [padded_cut(x_DHW, tuple(slice(int(c), int(c) + CROP) for c in one)) for one in corners]
        if cubes:
            yield (torch.from_numpy(np.stack(cubes))[:, None],)
