"""Training patches: real and synthetic nodules set into real and generated lungs, and what only resembles one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apps.nodule.data.phantom.contours import ShapeLibrary
from apps.nodule.data.phantom.nodules import draw_diameter_mm, insert, render_nodule
from apps.nodule.data.training.augment import augment
from apps.nodule.data.training.patch import Patch, cut
from apps.nodule.data.training.scenes import Scene
from apps.nodule.data.training.specimens import LUNA_DIAMETER, Specimen

SEAM = 4  # voxels over which a specimen's surroundings fade into the new lung
ZOOM = (0.85, 1.2)
AT_WALL = 0.3  # share of nodules set in beside the pleura
AS_BLOCK = 0.6  # share of specimens that bring all of their own surroundings
# Fainter ones are fewer in patients and harder to see: training draws them more often.
SYNTHETIC_KINDS = {"solid": 0.45, "part_solid": 0.2, "ground_glass": 0.28, "calcified": 0.07}
FAINT, FAINTER = 4.5, 2.5  # mean texture ratings below which a specimen is drawn two and three times as often
WALL_REACH = 6  # voxels
CLEAR_OF_KNOWN = 15.0  # voxels from its surface


@dataclass(eq=False)
class PatchMaker:
    """Draws patches of `edge` voxels whose point of interest lies within `jitter` voxels of the middle.

    shares: how often each kind of patch is drawn. A kind that the material cannot give falls back to the next:
    cube → specimen → synthetic → known → dense; tempting → dense.
    """

    scenes: list[Scene]
    specimens: list[Specimen]
    cubes: list[Specimen]
    shapes: ShapeLibrary
    edge: int
    jitter: float
    shares: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texture = np.array([s.ratings.get("texture", 5.0) for s in self.specimens])
        odds = 1.0 + (texture < FAINT) + (texture < FAINTER)
        self.odds = odds / odds.sum()

    def draw(self, rng: np.random.Generator) -> Patch:
        """Draw one patch, augmented."""
        kinds = list(self.shares)
        weights = np.array([self.shares[k] for k in kinds])
        kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
        zoom = float(np.exp(rng.uniform(*np.log(ZOOM)))) if rng.random() < 0.4 else 1.0
        edge = round(self.edge * zoom)
        makers = {
            "cube": self._cube,
            "dense": self._dense,
            "known": self._known,
            "specimen": self._specimen,
            "synthetic": self._synthetic,
            "tempting": self._tempting,
        }
        return augment(_resize(makers[kind](rng, edge), self.edge), rng)

    def _specimen(self, rng: np.random.Generator, edge: int) -> Patch:
        """A real nodule in another lung: by its outline, or with all that came along."""
        if not self.specimens or not self._accepting():
            return self._synthetic(rng, edge)
        patch, point = self._site(rng, edge)
        specimen = _turned(self.specimens[int(rng.choice(len(self.specimens), p=self.odds))], rng)
        weight = _block_weight(specimen.hu_DHW.shape) if rng.random() < AS_BLOCK else specimen.alpha_DHW
        return _paste(patch, specimen, weight, point, rng)

    def _synthetic(self, rng: np.random.Generator, edge: int) -> Patch:
        """A nodule of a radiologist's outline and synthetic matter."""
        if not self._accepting():
            return self._known(rng, edge)
        patch, point = self._site(rng, edge)
        diameter = draw_diameter_mm(rng)
        nodule = render_nodule(
            self.shapes.draw(rng, diameter),
            (1.0, 1.0, 1.0),
            str(rng.choice(list(SYNTHETIC_KINDS), p=list(SYNTHETIC_KINDS.values()))),
            rng,
            diameter_mm=diameter,
            psf_mm=float(rng.uniform(0.4, 0.9)),
            noise_hu=float(rng.uniform(0, 25)),
        )
        hu = patch.hu_DHW.copy()
        at = (int(point[0]), int(point[1]), int(point[2]))
        entered = insert(hu, nodule, at, (1.0, 1.0, 1.0), see_through=bool(rng.random() < 0.7))
        return _add(patch, hu, entered.centre, LUNA_DIAMETER * nodule.diameter_mm)

    def _cube(self, rng: np.random.Generator, edge: int) -> Patch:
        """A real nodule in its own lung; beyond the cube nothing is known."""
        if not self.cubes:
            return self._specimen(rng, edge)
        cube = _turned(self.cubes[int(rng.integers(len(self.cubes)))], rng)
        corner = np.rint(cube.centre - self._point(rng, edge)).astype(int)
        hu, valid = cut(cube.hu_DHW, corner, edge)
        return Patch(hu, (cube.centre - corner)[None], np.array([cube.diameter_mm]), valid)

    def _known(self, rng: np.random.Generator, edge: int) -> Patch:
        """A nodule that was in the lung from the start: a phantom's, a patient's own."""
        scenes = [s for s in self.scenes if len(s.centres_N3)]
        if not scenes:
            return self._specimen(rng, edge) if self._accepting() else self._dense(rng, edge)
        scene = scenes[int(rng.integers(len(scenes)))]
        return self._at(scene, _one(scene.centres_N3, rng), rng, edge)

    def _tempting(self, rng: np.random.Generator, edge: int) -> Patch:
        """A false positive: what a detector took for a nodule."""
        scenes = [s for s in self.scenes if len(s.tempting_K3)]
        if not scenes:
            return self._dense(rng, edge)
        scene = scenes[int(rng.integers(len(scenes)))]
        return self._at(scene, _one(scene.tempting_K3, rng), rng, edge)

    def _dense(self, rng: np.random.Generator, edge: int) -> Patch:
        """A vessel or wall of a lung; sometimes a piece of another lung is set in, as nodules are."""
        scene = self._scene(rng)
        patch = self._at(scene, _one(scene.dense_M3, rng), rng, edge)
        return self._with_decoy(patch, rng) if rng.random() < 0.5 else patch

    def _accepting(self) -> list[Scene]:
        return [s for s in self.scenes if s.accepts]

    def _scene(self, rng: np.random.Generator) -> Scene:
        return self.scenes[int(rng.integers(len(self.scenes)))]

    def _site(self, rng: np.random.Generator, edge: int) -> tuple[Patch, np.ndarray]:
        """A patch with a position in it, in voxels, where a nodule may be set in."""
        scenes = self._accepting()
        scene = scenes[int(rng.integers(len(scenes)))]
        position = _at_wall(scene, rng) if rng.random() < AT_WALL else _one(scene.airy_M3, rng)
        point = np.rint(self._point(rng, edge))
        hu, valid = cut(scene.hu_DHW, (position - point).astype(int), edge)
        return Patch(hu, scene.centres_N3 - (position - point), scene.diameters_N, valid), point

    def _at(self, scene: Scene, position: np.ndarray, rng: np.random.Generator, edge: int) -> Patch:
        corner = np.rint(position - self._point(rng, edge)).astype(int)
        hu, valid = cut(scene.hu_DHW, corner, edge)
        return Patch(hu, scene.centres_N3 - corner, scene.diameters_N, valid)

    def _point(self, rng: np.random.Generator, edge: int) -> np.ndarray:
        """Where in the patch the point of interest lies."""
        return (edge - 1) / 2 + rng.uniform(-self.jitter, self.jitter, 3)

    def _with_decoy(self, patch: Patch, rng: np.random.Generator) -> Patch:
        """Set in a piece of another lung by a nodule's outline: the seam must not give nodules away."""
        outlines = self.specimens or self.cubes
        if not outlines:
            return patch
        outline = outlines[int(rng.integers(len(outlines)))]
        scene = self._scene(rng)
        position = _one(scene.dense_M3, rng)
        if len(scene.centres_N3) and np.linalg.norm(scene.centres_N3 - position, axis=1).min() < 40:
            return patch
        edge = max(outline.hu_DHW.shape)
        hu, _ = cut(scene.hu_DHW, np.rint(position - edge / 2).astype(int), edge)
        cropped = hu[tuple(slice(0, n) for n in outline.hu_DHW.shape)]
        weight = _block_weight(cropped.shape) if rng.random() < AS_BLOCK else outline.alpha_DHW
        piece = Specimen("", cropped, outline.outline_DHW, weight, outline.centre, 0.0, {})
        pasted = _paste(patch, piece, weight, self._point(rng, len(patch.hu_DHW)), rng)
        return Patch(pasted.hu_DHW, patch.centres_N3, patch.diameters_N, patch.valid_DHW)


def _one(places_M3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return places_M3[int(rng.integers(len(places_M3)))].astype(float)


def _at_wall(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Of a dozen positions in the parenchyma, the one with the densest surroundings: a pleura or a large vessel."""
    positions = scene.airy_M3[rng.integers(len(scene.airy_M3), size=12)].astype(int)
    around = [cut(scene.hu_DHW, position - WALL_REACH, 2 * WALL_REACH + 1)[0] for position in positions]
    density = np.array([hu[::3, ::3, ::3].mean() for hu in around])
    for centre, diameter in zip(scene.centres_N3, scene.diameters_N, strict=True):
        # a known nodule is dense too, and must not be painted over
        density[np.linalg.norm(positions - centre, axis=1) < diameter / 2 + CLEAR_OF_KNOWN] = -np.inf
    return positions[int(np.argmax(density))].astype(float)


def _turned(specimen: Specimen, rng: np.random.Generator) -> Specimen:
    """Mirror a specimen at random; its surroundings stay plausible."""
    axes = [axis for axis in range(3) if rng.random() < 0.5]
    size = np.array(specimen.hu_DHW.shape)
    centre = np.where(np.isin(np.arange(3), axes), size - 1 - specimen.centre, specimen.centre)
    arrays = (specimen.hu_DHW, specimen.outline_DHW, specimen.alpha_DHW)
    hu, outline, alpha = (np.flip(a, tuple(axes)) for a in arrays)
    return Specimen(specimen.key, hu, outline, alpha, centre, specimen.diameter_mm, specimen.ratings)


def _block_weight(shape: tuple[int, ...]) -> np.ndarray:
    """1 inside a block, falling to 0 at its faces over the seam (a thin block keeps its middle)."""
    ramps = []
    for n in shape:
        depth = np.minimum(np.arange(n), np.arange(n)[::-1]) + 1.0
        ramps.append(np.clip(depth / min(SEAM, max(n / 2, 1)), 0, 1))
    d, h, w = ramps
    return np.minimum(np.minimum(d[:, None, None], h[None, :, None]), w[None, None, :]).astype(np.float32)


def _paste(
    patch: Patch, specimen: Specimen, weight_DHW: np.ndarray, point: np.ndarray, rng: np.random.Generator
) -> Patch:
    """Blend a specimen in so that its centre meets `point`; outside its outline denser voxels may stay."""
    corner = np.rint(point - specimen.centre).astype(int)
    size = np.array(specimen.hu_DHW.shape)
    low, high = np.maximum(corner, 0), np.minimum(corner + size, patch.hu_DHW.shape)
    if (high <= low).any():
        return patch
    into = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    take = tuple(slice(a, b) for a, b in zip(low - corner, high - corner, strict=True))
    hu = patch.hu_DHW.copy()
    change = specimen.hu_DHW[take].astype(np.float32) - hu[into]
    if rng.random() < 0.5:
        change = np.where(specimen.outline_DHW[take], change, np.maximum(change, 0))
    hu[into] += weight_DHW[take] * change
    return _add(patch, hu, corner + specimen.centre, specimen.diameter_mm)


def _add(patch: Patch, hu: np.ndarray, centre: np.ndarray, diameter_mm: float) -> Patch:
    centres = np.concatenate([patch.centres_N3.reshape(-1, 3), np.asarray(centre, float)[None]])
    return Patch(hu, centres, np.append(patch.diameters_N, diameter_mm), patch.valid_DHW)


def _resize(patch: Patch, edge: int) -> Patch:
    """Bring a patch to `edge` voxels: nodules become larger or smaller with it."""
    old = len(patch.hu_DHW)
    if old == edge:
        return patch
    factor = edge / old
    at = (np.arange(edge) + 0.5) / factor - 0.5
    hu = patch.hu_DHW
    for axis in range(3):
        low = np.clip(np.floor(at), 0, old - 2).astype(int)
        part = np.clip(at - low, 0, 1).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        left = np.take(hu, low, axis=axis)
        hu = left + part * (np.take(hu, low + 1, axis=axis) - left)
    nearest = np.clip(np.rint(at), 0, old - 1).astype(int)
    centres = (patch.centres_N3 + 0.5) * factor - 0.5
    return Patch(hu, centres, patch.diameters_N * factor, patch.valid_DHW[np.ix_(nearest, nearest, nearest)])
