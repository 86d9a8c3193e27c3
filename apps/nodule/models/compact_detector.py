"""The compact detector: lungs, proposals over slabs, a verdict on each of the best; then once more for masses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from apps.nodule.config import ModelConfig
from apps.nodule.data.body import body_notes
from apps.nodule.data.lung_box import Located, LungBox, locate_lungs
from apps.nodule.data.resample import PatientGrid, to_patient_grid
from apps.nodule.data.volume import Volume
from apps.nodule.models.compact import CROP, SPACING_MM, STRIDE, CompactNet, normalise
from apps.nodule.models.detector import search_limits
from apps.nodule.models.findings import Candidate, Detection
from apps.nodule.models.heatmap import peaks
from apps.nodule.models.masses import CLOSING_MM, LARGEST_MM, find_masses, merged, sized
from apps.nodule.models.tiling import padded_cut, slabs, suppress
from apps.nodule.models.weights_file import weights_file
from apps.nodule.reasons import BAD_INPUT
from core.compute.devices import choose_device
from core.runs.files import write_bytes
from core.training.digests import weights_digest

EMBEDDED = Path(__file__).parents[1] / "weights" / "compact.safetensors"
SUFFIXES = (".safetensors",)
HALO = (8, 4, 4)  # the mask has a margin in the plane already
# Proposals judged in a scan where no number is set: more than 30 where they may be findings.
FEWEST, MOST = 30, 100
PEAKS = 400  # considered in a slab, where no more candidates are wanted
PROPOSAL_FLOOR = 0.01
JUDGED_AT_ONCE = 8
WIDE_MM = 45.0  # proposed as a mass of at least this diameter
DOUBT = 0.3  # from this probability on a wide proposal is judged again
CONVINCING = 0.65  # what the second verdict must reach: hearts of real chests get .57 at most (ten scans)
WIDER_GRID_MM = 4.5  # of that cube, 180 mm wide; on 6 mm much of a heart or a diaphragm resembles a mass
NETWORKS = ("proposal", "judge")
OUTSIDE_MM = 3  # a centre this far outside the lungs is dropped


class Proposals:
    """Proposals on the lung's grid, best first: centres_N3 (d, h, w) and diameters_N in voxels, scores_N 0..1."""

    def __init__(self, centres_N3: np.ndarray, diameters_N: np.ndarray, scores_N: np.ndarray) -> None:
        self.centres_N3, self.diameters_N, self.scores_N = centres_N3, diameters_N, scores_N

    def best(self, count: int) -> Proposals:
        """Return the first `count`."""
        kept = slice(0, count)
        return Proposals(self.centres_N3[kept], self.diameters_N[kept], self.scores_N[kept])

    def reaching(self, probability: float) -> int:
        """Return how many may get this probability: the mean of two shares, of which the score is one."""
        return int(np.sum(self.scores_N >= probability**2))


class CompactDetector:
    """Both networks on one device.

    A candidate's probability is the geometric mean of what both networks say.
    """

    name = "compact"

    def __init__(
        self, net: CompactNet, version: str, threshold: float, model: ModelConfig, device: torch.device
    ) -> None:
        self.net = net.eval().to(device)
        self._exported: Mapping[str, Callable[..., Any]] = {}
        self.version, self.threshold = version, threshold
        self.floor, self.most = model.candidate_threshold, model.max_candidates
        self.depth = model.tile
        self.device = device

    def with_networks(self, networks: Mapping[str, Callable[..., Any]], runtime: str = "") -> CompactDetector:
        """Return this detector, on the CPU, with other callables as "proposal" or "judge".

        runtime: the format that they were exported in. It joins the version, so that results differ in their UIDs from
        those of PyTorch.
        """
        other = copy.copy(self)
        other._exported = networks
        other.version = f"{self.version}+{runtime}" if runtime else self.version
        return other

    def _network(self, name: str) -> Callable[..., Any]:
        return self._exported.get(name) or getattr(self.net, name)

    def detect(self, volume: Volume) -> Detection:
        """Return candidates by falling probability: nodules on a grid of 1 mm, masses on one of 3 mm."""
        located = locate_lungs(volume)
        notes = body_notes(located)
        if not located.lungs.air_DHW.any():
            return Detection([], tuple(notes))
        nodules, left = self.nodules(located.fine(SPACING_MM))
        ranked = merged(sized(nodules, volume), find_masses(self.search, located), volume)
        if self.most is not None:
            left += sum(c.probability >= self.threshold for c in ranked[self.most :])
        notes += search_limits(volume, LARGEST_MM, self.most or MOST, left)
        return Detection(ranked[: self.most], tuple(notes))

    def nodules(self, box: LungBox) -> tuple[list[Candidate], int]:
        """Return the candidates of a lung by falling probability, and how many that may be findings were not judged."""
        proposals = self.propose(box, self.most or MOST)
        likely = proposals.reaching(self.threshold)
        count = self.most or min(max(likely, FEWEST), MOST)
        verdicts = self.judge(box.grid.hu_DHW, proposals.best(count))
        return candidates(box.grid, *verdicts, self.floor), max(likely - count, 0)

    def search(self, located: Located, least: float) -> list[Candidate]:
        """Return the masses of a lung from a probability on, by falling probability, on a grid of 3 mm.

        A wide proposal fills the cube that is judged: where the verdict is in doubt, a coarser cube is judged too.
        """
        box = located.wide(CLOSING_MM)
        most = max(self.most or MOST, MOST)
        proposals = self.propose(box, most)
        proposals = proposals.best(min(proposals.reaching(least), most))
        centres, diameters, scores = self.judge(box.grid.hu_DHW, proposals)
        wide = proposals.diameters_N * box.grid.spacing_mm >= WIDE_MM
        doubtful = np.flatnonzero(wide & (scores >= DOUBT) & (scores < least))
        if len(doubtful):
            grid = to_patient_grid(located.volume, WIDER_GRID_MM)
            scale = grid.spacing_mm / box.grid.spacing_mm
            centres_again = grid.to_index(box.grid.to_world(proposals.centres_N3[doubtful]))
            again = Proposals(
                centres_again, proposals.diameters_N[doubtful] / scale, proposals.scores_N[doubtful]
            )
            seen, widths, verdicts = self.judge(grid.hu_DHW, again)
            scores[doubtful] = np.where(verdicts >= CONVINCING, verdicts, scores[doubtful])
            centres[doubtful] = box.grid.to_index(grid.to_world(seen))
            diameters[doubtful] = widths * scale
        return candidates(box.grid, centres, diameters, scores, least)

    def propose(self, box: LungBox, most: int) -> Proposals:
        """Return the proposals of a whole lung, best first; of each slab at least the best `most`."""
        parts = [
            self._propose_in(box, tile.box, tile.low, tile.high, max(most, PEAKS))
            for tile in slabs(box.mask_DHW, self.depth, HALO)
        ]
        if not parts:
            return Proposals(np.zeros((0, 3)), np.zeros(0), np.zeros(0))
        centres, diameters, scores = (np.concatenate(p) for p in zip(*parts, strict=True))
        kept = suppress(centres, diameters, scores)
        return Proposals(centres[kept], diameters[kept], scores[kept])

    def _propose_in(
        self, box: LungBox, cut: tuple[slice, ...], low: np.ndarray, high: np.ndarray, most: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        hu = torch.from_numpy(padded_cut(box.grid.hu_DHW, cut)).to(self.device)
        with torch.inference_mode():
            output = self._network("proposal")(normalise(hu)[None, None])[0]
        centres, diameters, scores = peaks(output, most, floor=PROPOSAL_FLOOR)
        centres = centres + [s.start for s in cut]
        # a peak belongs to the slab that holds its cell's middle; ends are closed by the mask below
        inside = ((centres >= low - STRIDE / 2) & (centres < high + STRIDE / 2)).all(axis=1)
        at = np.clip(np.rint(centres).astype(int), 0, np.array(box.mask_DHW.shape) - 1)
        inside &= _near(box.mask_DHW, at)
        return centres[inside], diameters[inside], scores[inside]

    def judge(self, hu_DHW: np.ndarray, proposals: Proposals) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return centres (N, 3), diameters (N,) and probabilities (N,) after the second stage."""
        if not len(proposals.centres_N3):
            return proposals.centres_N3, proposals.diameters_N, proposals.scores_N
        corners = np.rint(proposals.centres_N3 - (CROP - 1) / 2).astype(int)
        outputs = []
        for start in range(0, len(corners), JUDGED_AT_ONCE):
            cubes = [
                padded_cut(hu_DHW, tuple(slice(int(c), int(c) + CROP) for c in corner))
                for corner in corners[start : start + JUDGED_AT_ONCE]
            ]
            x = normalise(torch.from_numpy(np.stack(cubes)).to(self.device))
            with torch.inference_mode():
                outputs.append(self._network("judge")(x[:, None]).float().cpu())
        verdict = torch.cat(outputs)[:, 0].sigmoid().numpy()
        output = torch.cat(outputs).numpy()
        centres = corners + (CROP - 1) / 2 + output[:, 1:4] * STRIDE
        diameters = np.exp(np.clip(output[:, 4], np.log(2.0), np.log(60.0)))
        return centres, diameters, np.sqrt(verdict * proposals.scores_N)


def candidates(
    grid: PatientGrid, centres_N3: np.ndarray, diameters_N: np.ndarray, scores_N: np.ndarray, least: float
) -> list[Candidate]:
    """Return candidates in LPS mm from centres and diameters in voxels: one a position, from a probability on.

    By falling probability.
    """
    kept = suppress(centres_N3, diameters_N, scores_N)
    kept = kept[scores_N[kept] >= least]
    return [
        Candidate((float(x), float(y), float(z)), float(d) * grid.spacing_mm, float(p))
        for (x, y, z), d, p in zip(
            grid.to_world(centres_N3[kept].reshape(-1, 3)), diameters_N[kept], scores_N[kept], strict=True
        )
    ]


def _near(mask_DHW: np.ndarray, at_N3: np.ndarray) -> np.ndarray:
    """Whether the mask is set at a voxel or within a few mm along an axis."""
    inside = mask_DHW[tuple(at_N3.T)]
    for axis in range(3):
        for step in (-OUTSIDE_MM, OUTSIDE_MM):
            moved = at_N3.copy()
            moved[:, axis] = np.clip(moved[:, axis] + step, 0, mask_DHW.shape[axis] - 1)
            inside = inside | mask_DHW[tuple(moved.T)]
    return inside


def model_digest(net: CompactNet) -> str:
    """Return the SHA-256 of the weights of both networks."""
    return weights_digest(net.state_dict())


def save_compact(net: CompactNet, path: Path, metadata: dict[str, str]) -> None:
    """Write both networks into one safetensors file, in half precision; logits change by less than 0.01.

    metadata: "version" and "threshold" are read by `load_compact`; without them it is unnamed, and takes 0.5.
    """
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in net.state_dict().items()
    }
    write_bytes(path, save(tensors, metadata=metadata))


def load_compact(model: ModelConfig, weights: str | None) -> CompactDetector:
    """Load the embedded weights, or those of `stage=train`: its file, or its run folder.

    Raises InputError where the file does not fit, or a folder does not hold exactly one; ConfigError for a GPU that is
    not there.
    """
    device = choose_device(model.device)
    path = weights_file(Path(weights), SUFFIXES) if weights else EMBEDDED
    unfit = BAD_INPUT("weights_unfit", path=path)
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
        net = CompactNet()
        net.load_state_dict(load_file(path))
        own = float(metadata.get("threshold", 0.5))
    except FileNotFoundError as error:
        raise BAD_INPUT("weights_missing", path=path) from error
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        raise unfit from error
    if not 0 <= own <= 1 or not all(bool(value.isfinite().all()) for value in net.state_dict().values()):
        raise unfit  # of a training that ran away: it would find nothing, without a word
    threshold = own if model.threshold is None else model.threshold
    return CompactDetector(net, metadata.get("version", "unnamed"), threshold, model, device)
