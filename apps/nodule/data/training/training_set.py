"""Everything the compact detector learns from, by source: generated, real, or the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from apps.nodule.config import DataConfig
from apps.nodule.data.load import load
from apps.nodule.data.luna16 import read_annotations
from apps.nodule.data.lung_box import lung_box
from apps.nodule.data.phantom.contours import ShapeLibrary, load_shapes
from apps.nodule.data.phantom.phantom import FIRST_TEST_SEED, PhantomSpec, draw_spec, make_phantom
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.data.training.patches import PatchMaker
from apps.nodule.data.training.scenes import SPACING_MM, Scene, make_scene, read_scene, write_scene
from apps.nodule.data.training.specimens import LUNA_DIAMETER, Specimen, load_cubes, load_vois
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import read_volume_file
from apps.nodule.reasons import BAD_INPUT, refuse
from core.data.paths import data_root
from core.errors import ItemRefused
from core.runs.log import RunLog, pseudonym
from core.terminal.progress import progress

CACHE_VERSION = 2  # raise when scenes are made in another way
NODULE_FILES = ("vois.csv", "cubes.csv", "cubes.npz")
DEVELOPMENT_LUNG = "qin_lsc_0009"
NODULES_A_PHANTOM = (8, 16)  # many more than a patient has: a chest takes seconds to make, a nodule none


@dataclass(eq=False)
class TrainingSet:
    """Lungs, real nodules to set into them, and outlines for synthetic ones."""

    scenes: list[Scene]
    specimens: list[Specimen]
    cubes: list[Specimen]
    shapes: ShapeLibrary

    def maker(self, edge: int, jitter: float, shares: dict[str, float]) -> PatchMaker:
        """Return what draws patches of `edge` voxels from this material."""
        return PatchMaker(self.scenes, self.specimens, self.cubes, self.shapes, edge, jitter, shares)


def load_training_set(data: DataConfig, seed: int, log: RunLog) -> TrainingSet:
    """Gather the material that the config names; prepared lungs are kept in the cache folder.

    Raises InputError where the real data or the user's own are asked for and are not there, or nothing is.
    """
    cache = Path(data.cache)
    root = _real_root(data) if data.source == "mixed" else None
    scenes = list(_phantoms(data, seed, cache)) if data.source != "folder" else []
    specimens: list[Specimen] = []
    cubes: list[Specimen] = []
    if root is not None:
        scenes += [
            _cached(cache, f"chest-{name}", partial(_chest, root, name, row)) for name, row in _lungs(root)
        ]
        specimens = load_vois(root / "ct" / "lidc-nodules", "train")
        cubes = load_cubes(root / "ct" / "lidc-nodules", "train")
    if data.source == "folder":
        scenes += _own(data, log)
    if not scenes:
        raise BAD_INPUT("nothing_to_train_on")
    log.event("training_set", items=len(scenes), count=len(specimens) + len(cubes))
    return TrainingSet(scenes, specimens, cubes, load_shapes("train"))


def lung_of(volume: Volume, centres_mm_N3: np.ndarray, diameters_N: np.ndarray, *, accepts: bool) -> Scene:
    """Cut the lungs out of a volume, with what is known of its nodules (LPS mm, mm)."""
    box = lung_box(volume, SPACING_MM)
    return make_scene(box, centres_mm_N3, diameters_N, accepts=accepts)


def _phantoms(data: DataConfig, seed: int, cache: Path) -> Iterator[Scene]:
    grid = "" if data.anatomy_mm == 1.0 else f"-{data.anatomy_mm:g}mm"
    for number in progress(range(data.phantoms), "phantoms", data.phantoms):
        at = (seed * 1009 + number) % FIRST_TEST_SEED  # never a chest of the held-out set
        yield _cached(cache, f"phantom-{at}{grid}", partial(_phantom, at, data.anatomy_mm))


def on_anatomy(spec: PhantomSpec, anatomy_mm: float) -> PhantomSpec:
    """Return a protocol for an anatomy drawn on this grid: a scan much finer than it would show nothing more."""
    finest = 0.6 * anatomy_mm
    return replace(
        spec,
        anatomy_mm=anatomy_mm,
        slice_mm=max(spec.slice_mm, finest),
        pixel_mm=max(spec.pixel_mm, finest),
    )


def _phantom(seed: int, anatomy_mm: float) -> Scene:
    spec = on_anatomy(draw_spec(seed, nodules=NODULES_A_PHANTOM), anatomy_mm)
    phantom = make_phantom(seed, spec)
    centres = np.array([n.centre_mm for n in phantom.nodules]).reshape(-1, 3)
    diameters = LUNA_DIAMETER * np.array([n.diameter_mm for n in phantom.nodules])
    return lung_of(phantom.volume, centres, diameters, accepts=True)


def has_real_data(data: DataConfig) -> bool:
    """Tell whether the folder of real data is there, whole."""
    root = Path(data.real) if data.real else data_root()
    wanted = (Path("ct", "chest", "lesions.csv"), *(Path("ct", "lidc-nodules", n) for n in NODULE_FILES))
    return root is not None and all((root / path).is_file() for path in wanted)


def _real_root(data: DataConfig) -> Path:
    root = Path(data.real) if data.real else data_root()
    if root is None or not has_real_data(data):
        raise BAD_INPUT("no_real_data")
    return root


def _lungs(root: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """The real lungs to train on, each with its one known tumour."""
    table = pd.read_csv(root / "ct" / "chest" / "lesions.csv").set_index("volume")
    for name in sorted(set(table.index) - {DEVELOPMENT_LUNG}):
        yield str(name), table.loc[name].to_dict()


def _chest(root: Path, name: str, tumour: dict[str, float]) -> Scene:
    volume = read_volume_file(root / "ct" / "chest" / f"{name}.nii.gz", name)
    centre = np.array([[tumour["x_lps_mm"], tumour["y_lps_mm"], tumour["z_lps_mm"]]], dtype=float)
    return lung_of(volume, centre, np.array([tumour["eq_diameter_mm"]], dtype=float), accepts=True)


def _own(data: DataConfig, log: RunLog) -> Iterator[Scene]:
    """The user's volumes; a series that is not a chest CT or cannot be read is left out, and the log says why."""
    if not data.volumes or not data.annotations:
        raise BAD_INPUT("no_own_data")
    known = read_annotations(Path(data.annotations))
    series = np.array(known.series)
    used = 0
    for item in progress(scan(Path(data.volumes)), "reading volumes"):
        mine = series == item.id
        try:
            scene = _own_scene(item, known.centre_K3[mine], known.diameter_K[mine])
        except ItemRefused as refused:
            log.event("left_out", item=pseudonym(item.id), code=refused.code)
            continue
        used += len(scene.centres_N3)
        yield scene
    if not used:
        raise BAD_INPUT("no_own_nodules")


def _own_scene(item: SeriesItem, centres_mm_K3: np.ndarray, diameters_K: np.ndarray) -> Scene:
    if item.status != "accepted":
        raise ItemRefused(item.code, item.sentence)
    volume = load(item)
    # LUNA16's rule: a nodule that nobody measured counts as one of 10 mm
    diameters = np.where(diameters_K > 0, diameters_K, 10.0)
    scene = lung_of(volume, centres_mm_K3, diameters, accepts=False)
    if not len(scene.dense_M3):
        raise refuse("no_vessels")
    return scene


def _cached(cache: Path, name: str, make: Callable[[], Scene]) -> Scene:
    """Take a scene from the cache; one that is not there, or is damaged, is made and kept."""
    path = cache / f"scene-{CACHE_VERSION}-{name}.npz"
    scene = read_scene(path)
    if scene is None:
        scene = make()
        write_scene(path, scene)
    return scene
