"""MONAI's RetinaNet as its bundle `lung_nodule_ct_detection` 0.6.8 configures it, run from a weights file.

Every number below is the bundle's (configs/inference.json); axes of the network are R, A, S, in that order.
Sources: Lin et al. 2017, doi:10.1109/ICCV.2017.324; Baumgartner et al. 2021, arXiv 2106.00817 (nnDetection).
"""

from __future__ import annotations

import copy
import hashlib
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector as MonaiDetector
from monai.apps.detection.networks.retinanet_network import RetinaNet
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
from monai.data.meta_tensor import MetaTensor
from monai.transforms.spatial.array import Spacing
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from apps.nodule.config import ModelConfig
from apps.nodule.data.body import body_notes
from apps.nodule.data.lung_box import locate_lungs
from apps.nodule.data.volume import Volume
from apps.nodule.models.backbone import ResNetFPN
from apps.nodule.models.detector import search_limits
from apps.nodule.models.findings import Candidate, Detection
from apps.nodule.models.weights_file import weights_file
from apps.nodule.reasons import BAD_CONFIG, BAD_INPUT, refuse
from core.compute.devices import choose_device
from core.training.digests import weights_digest

SPACING_MM = (0.703125, 0.703125, 1.25)
HU_RANGE = (-1024.0, 300.0)
SIZE_DIVISIBLE = (16, 16, 8)
ANCHOR_SHAPES = ((6, 8, 4), (8, 6, 5), (10, 10, 6))
ANCHOR_SCALES = (1, 2, 4)
TILE = (512, 512, 192)
OVERLAP = 0.25
SCORE_THRESHOLD = 0.02
TOP_K = 1000
NMS_THRESHOLD = 0.22
MAX_DETECTIONS = 300
MOST = 100  # candidates kept where no number is set
EVERY = 10_000  # boxes that the selection may return, so that those left out can be counted
LARGEST_MM = 30.0  # LUNA16, which the bundle was trained on, holds no larger nodule

WORKING_POINT = 0.5  # ours: the bundle names none; choose it on your own scans with stage=evaluate
SMALLEST_TILE = (128, 128, 48)
NETWORK = "retinanet"  # its name where it is exported
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
WRAPPERS = ("model", "network", "state_dict", "model_state_dict")  # what trainers put around a state dict
PREFIXES = ("module.", "network.", "_orig_mod.")
SUFFIXES = (".pt", ".pth", ".safetensors")

_DAMAGE = (
    RuntimeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
)


class RetinaNetDetector:
    """Find nodules with the bundle's network; see `apps.nodule.models.detector.Detector`.

    weights: the bundle's models/model.pt, the same state dict as safetensors, or a folder that holds one of them.
    threshold: probability of the working point. device: auto, cpu or cuda.
    tile: voxels (R, A, S) seen at once, divisible by (16, 16, 8); where memory does not suffice it is halved.
    The heads normalise over a tile (GroupNorm), so a smaller one moves probabilities a little: the bundle's
    512, 512, 192 needs about 12 GB, 192, 192, 72 about 1 GB.
    Raises ConfigError without a weights file, InputError where the file does not fit.
    """

    name = "retinanet"

    def __init__(
        self,
        weights: str | Path | None,
        *,
        threshold: float = WORKING_POINT,
        candidate_threshold: float = SCORE_THRESHOLD,
        max_candidates: int = MAX_DETECTIONS,
        device: str = "auto",
        tile: tuple[int, int, int] = TILE,
        overlap: float = OVERLAP,
    ) -> None:
        if not weights:
            raise BAD_CONFIG("weights_needed")
        if any(edge % divisor for edge, divisor in zip(tile, SIZE_DIVISIBLE, strict=True)):
            raise BAD_CONFIG("tile_size", tile=tile, divisors=SIZE_DIVISIBLE)
        self.threshold = threshold
        self.candidate_threshold = candidate_threshold
        self.max_candidates = max_candidates
        self.tile = tile
        self.overlap = overlap
        self.device = choose_device(device)
        path = weights_file(Path(weights), SUFFIXES)
        self.network = load_network(path).to(self.device).eval()
        self.version = "sha256:" + _sha256(path)[:12]
        self._exported: Callable[..., Any] | None = None

    def with_networks(
        self, networks: Mapping[str, Callable[..., Any]], runtime: str = ""
    ) -> RetinaNetDetector:
        """Return this detector, on the CPU, with another callable as "retinanet": an image to what `HeadMaps` returns.

        runtime: the format that it was exported in. It joins the version, so that results differ in their UIDs from
        those of PyTorch.
        """
        other = copy.copy(self)
        other._exported = networks.get(NETWORK)
        other.device = torch.device("cpu")
        other.version = f"{self.version}+{runtime}" if runtime else self.version
        return other

    @property
    def digest(self) -> str:
        """The SHA-256 of the network's weights."""
        return weights_digest(self.network.state_dict())

    def detect(self, volume: Volume) -> Detection:
        """Return candidates by falling probability, centre in LPS mm, diameter the mean side of the box."""
        located = locate_lungs(volume)
        notes = body_notes(located)
        if not located.lungs.air_DHW.any():
            return Detection([], tuple(notes))
        candidates = self.candidates(volume)
        left = sum(c.probability >= self.threshold for c in candidates[self.max_candidates :])
        notes += search_limits(volume, LARGEST_MM, self.max_candidates, left)
        return Detection(candidates[: self.max_candidates], tuple(notes))

    def candidates(self, volume: Volume) -> list[Candidate]:
        """Return all candidates of a volume by falling probability, whether it shows lungs or not."""
        image_1XYZ, affine = preprocess(volume)
        return to_candidates(*self._boxes(image_1XYZ), affine)

    def _boxes(self, image_1XYZ: Tensor) -> tuple[np.ndarray, np.ndarray]:
        tile, device = self.tile, self.device
        while True:
            try:
                return self._boxes_by(image_1XYZ, tile, device)
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
                    raise
            if halved(tile) != tile:
                tile = halved(tile)
            elif device.type != "cpu":
                tile, device = self.tile, torch.device("cpu")
            else:
                raise refuse("out_of_memory")

    def _boxes_by(
        self, image_1XYZ: Tensor, tile: tuple[int, ...], device: torch.device
    ) -> tuple[np.ndarray, np.ndarray]:
        detector = build_detector(
            self._exported or self.network.to(device),
            tile,
            overlap=self.overlap,
            score_threshold=self.candidate_threshold,
            max_detections=EVERY,
        )
        whole = image_1XYZ.numel() < np.prod(tile)  # the bundle's rule: a small image goes through at once
        half = torch.autocast("cuda", torch.float16, enabled=device.type == "cuda")
        with torch.inference_mode(), half:
            output = detector(image_1XYZ[None].to(device), use_inferer=not whole)[0]
        return output["boxes"].float().cpu().numpy(), output["labels_scores"].float().cpu().numpy()


class HeadMaps(nn.Module):
    """MONAI's network with its outputs as one tuple: class logits of each map, finest first, then box regressions."""

    def __init__(self, network: RetinaNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(1, 1, X, Y, Z) to maps of (1, 3, …) and of (1, 18, …), at strides (4, 4, 2), (8, 8, 4) and (16, 16, 8)."""
        maps = self.network(image)
        return (*maps[self.network.cls_key], *maps[self.network.box_reg_key])


def halved(tile: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return half a tile, divisible as the pyramid needs, not below SMALLEST_TILE (nor grown to it)."""
    x, y, z = (
        min(edge, max(edge // 2 // divisor * divisor, least))
        for edge, divisor, least in zip(tile, SIZE_DIVISIBLE, SMALLEST_TILE, strict=True)
    )
    return x, y, z


def load_retinanet(model: ModelConfig, weights: str | None) -> RetinaNetDetector:
    """Build the detector from the config; `model.tile` is the edge in the plane, 3/8 of it along the body."""
    edge = max(model.tile // 16 * 16, 16)
    return RetinaNetDetector(
        weights,
        threshold=WORKING_POINT if model.threshold is None else model.threshold,
        candidate_threshold=model.candidate_threshold,
        max_candidates=MOST if model.max_candidates is None else model.max_candidates,
        device=model.device,
        tile=(edge, edge, max(edge * 3 // 64 * 8, 8)),
        overlap=OVERLAP if model.overlap is None else model.overlap,
    )


def build_network() -> RetinaNet:
    """Return MONAI's RetinaNet with the bundle's numbers, 20.9 M parameters, randomly initialised."""
    return RetinaNet(
        spatial_dims=3,
        num_classes=1,
        num_anchors=len(ANCHOR_SHAPES),
        feature_extractor=ResNetFPN(),
        size_divisible=SIZE_DIVISIBLE,
    )


def build_detector(
    network: RetinaNet | Callable[..., Any],
    tile: tuple[int, ...] = TILE,
    *,
    overlap: float = OVERLAP,
    score_threshold: float = SCORE_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
) -> MonaiDetector:
    """Return MONAI's detector around the network, ready to infer: anchors, sliding window, box selection.

    network: or what returns the tuple of `HeadMaps`.
    """
    detector = MonaiDetector(
        cast(nn.Module, network),
        AnchorGeneratorWithAnchorShape(ANCHOR_SCALES, ANCHOR_SHAPES),
        spatial_dims=3,
        num_classes=1,
        size_divisible=SIZE_DIVISIBLE,
    )
    detector.set_box_selector_parameters(
        score_thresh=score_threshold,
        topk_candidates_per_level=TOP_K,
        nms_thresh=NMS_THRESHOLD,
        detections_per_img=max_detections,
    )
    detector.set_sliding_window_inferer(
        roi_size=tile, overlap=overlap, sw_batch_size=1, mode="constant", device="cpu"
    )
    return detector.eval()


def preprocess(volume: Volume) -> tuple[Tensor, np.ndarray]:
    """Return the image as the bundle feeds it, and the affine from its indices to LPS mm.

    image: (1, X, Y, Z) float32 in 0..1, its axes running to the right, the front and the head.
    """
    hu_XYZ, affine = _to_ras_order(volume.hu_DHW, LPS_TO_RAS @ volume.affine)
    hu = torch.from_numpy(np.ascontiguousarray(hu_XYZ)).to(torch.float32)[None]
    image = MetaTensor(hu, affine=torch.from_numpy(affine))
    # single precision places a voxel to 1e-4: MONAI's default, double, needs twice the memory
    spaced = cast(MetaTensor, Spacing(SPACING_MM, dtype=np.float32)(image))
    low, high = HU_RANGE
    scaled = ((spaced.as_tensor() - low) / (high - low)).clamp(0.0, 1.0)
    return scaled, LPS_TO_RAS @ np.asarray(spaced.affine, dtype=np.float64)


def _to_ras_order(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Permute and flip axes so that they run most nearly to the right, the front, the head."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    _, order = linear_sum_assignment(-np.abs(cosines))  # world axis i is best served by array axis order[i]
    move = np.zeros((4, 4))
    move[3, 3] = 1.0
    flips = []
    for i, axis in enumerate(order):
        backward = cosines[i, axis] < 0
        move[axis, i] = -1.0 if backward else 1.0
        move[axis, 3] = array.shape[axis] - 1 if backward else 0.0
        flips.append(slice(None, None, -1 if backward else 1))
    return array.transpose(order)[tuple(flips)], affine @ move


def to_candidates(boxes_N6: np.ndarray, scores_N: np.ndarray, affine: np.ndarray) -> list[Candidate]:
    """Turn boxes (x0, y0, z0, x1, y1, z1 as indices) to candidates in what `affine` maps to."""
    centre_N3 = (boxes_N6[:, :3] + boxes_N6[:, 3:]) / 2.0 @ affine[:3, :3].T + affine[:3, 3]
    side_N3 = (boxes_N6[:, 3:] - boxes_N6[:, :3]) * np.linalg.norm(affine[:3, :3], axis=0)
    order = np.argsort(-scores_N, kind="stable")
    return [
        Candidate(
            centre_mm=(float(centre_N3[i, 0]), float(centre_N3[i, 1]), float(centre_N3[i, 2])),
            diameter_mm=float(side_N3[i].mean()),
            probability=float(scores_N[i]),
        )
        for i in order
    ]


def load_network(path: Path) -> RetinaNet:
    """Return the network with the weights of a file, on the CPU.

    Raises InputError naming the first layers that are missing, unknown or of another shape.
    """
    state = _state_of(path)
    with torch.device("meta"):  # no memory, no random start: every value comes from the file
        network = build_network()
    faults = _faults(network.state_dict(), state)
    if faults:
        raise BAD_INPUT("weights_mismatch", path=path, faults="; ".join(faults))
    network.load_state_dict({name: _single(value) for name, value in state.items()}, assign=True)
    return network


def _single(value: Tensor) -> Tensor:
    return value.to(torch.float32) if value.is_floating_point() else value


def _state_of(path: Path) -> dict[str, Tensor]:
    raw = _read(path)
    for wrapper in WRAPPERS:
        if isinstance(raw, dict) and isinstance(raw.get(wrapper), dict):
            raw = raw[wrapper]
    if not isinstance(raw, dict) or not raw or not all(isinstance(value, Tensor) for value in raw.values()):
        raise BAD_INPUT("weights_not_state_dict", path=path)
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in raw):
            raw = {name.removeprefix(prefix): value for name, value in raw.items()}
    return raw


def _read(path: Path) -> object:
    if not path.is_file():
        raise BAD_INPUT("weights_missing", path=path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if _is_script(path):
            raise BAD_INPUT("weights_torchscript", path=path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError:
        raise BAD_INPUT("weights_damaged", path=path, format="safetensors") from None
    except OSError as error:
        raise BAD_INPUT("weights_unreadable", path=path, why=error.strerror) from None
    except _DAMAGE:
        raise BAD_INPUT("weights_damaged", path=path, format="PyTorch") from None


def _is_script(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _faults(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> list[str]:
    """Return one phrase a kind of misfit, each naming its first layer."""
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    shaped = [name for name in wanted if name in given and wanted[name].shape != given[name].shape]
    faults = []
    if missing:
        faults.append(f"{len(missing)} of {len(wanted)} tensors are missing, first {missing[0]}")
    if unknown:
        faults.append(f"{len(unknown)} are unknown, first {unknown[0]}")
    if shaped:
        name = shaped[0]
        got, want = tuple(given[name].shape), tuple(wanted[name].shape)
        faults.append(f"{len(shaped)} have another shape, first {name}: {got}, wanted {want}")
    return faults


def _out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "allocate memory" in text
        or "not enough memory" in text
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
