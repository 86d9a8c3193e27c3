from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from apps.nodule.data.phantom.contours import load_shapes
from apps.nodule.data.phantom.nodules import KINDS
from apps.nodule.data.phantom.phantom import (
    FIRST_TEST_SEED,
    Phantom,
    PhantomSpec,
    add_nodules,
    draw_spec,
    make_phantom,
    phantom_uid,
    split_of_seed,
)
from apps.nodule.data.phantom.placement import PLACEMENTS
from apps.nodule.data.volume import Volume
from tests.apps.nodule.data.phantom.chests import labels_of, lung_cell, lung_mask_of

SMALL = PhantomSpec(nodules=(4, 4), slice_mm=2.5, pixel_mm=1.4, kernel="soft", anatomy_mm=2.0)


def equivalent_diameter(volume_mm3: float) -> float:
    return float((6 / np.pi * volume_mm3) ** (1 / 3))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(5, SMALL)


@pytest.mark.parametrize(("kind", "placement"), list(product(KINDS, PLACEMENTS)))
def test_the_truth_is_exact_for_each_kind_and_placement(kind: str, placement: str) -> None:
    chest = lung_cell()
    before = chest.hu_DHW.copy()
    spec = PhantomSpec(nodules=(3, 3), kind=kind, placement=placement)
    nodules = add_nodules(chest, spec, np.random.default_rng([hash_of(kind), hash_of(placement)]))
    assert len(nodules) == 3
    assert (chest.hu_DHW != before).any()
    # labels on a finer grid than the anatomy's, shifted by a part of a voxel
    shape = tuple(2 * n for n in chest.hu_DHW.shape)
    affine = chest.affine.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] += 0.3
    fine = Volume(np.broadcast_to(np.int16(0), shape), affine, "fine")
    labels = labels_of(Phantom(fine, nodules, chest))
    depth = ndimage.distance_transform_edt(chest.lung_mask_DHW)
    for number, nodule in enumerate(nodules, 1):
        assert (nodule.kind, nodule.placement) == (kind, placement)
        where = np.argwhere(labels == number)
        centre = fine.to_world(where.mean(0)[None])[0]
        assert np.linalg.norm(centre - nodule.centre_mm) < 0.5
        measured = equivalent_diameter(len(where) * fine.voxel_mm3)
        assert measured == pytest.approx(nodule.diameter_mm, abs=max(0.10 * nodule.diameter_mm, 0.6))
        index = Volume(chest.hu_DHW, chest.affine, "").to_index(np.array([nodule.centre_mm]))[0]
        deep = depth[tuple(np.rint(index).astype(int))]
        if placement == "juxta_pleural":
            assert deep < nodule.diameter_mm / 2 + 4
        else:
            assert deep > nodule.diameter_mm / 2 - 2


def hash_of(word: str) -> int:
    return sum(map(ord, word))


def test_nodules_stand_out_in_the_scan(phantom: Phantom) -> None:
    assert len(phantom.nodules) == 4
    labels, lung = labels_of(phantom), lung_mask_of(phantom)
    hu = phantom.volume.hu_DHW
    assert labels.shape == lung.shape == hu.shape
    background = np.median(hu[lung & (labels == 0)])
    assert -950 < background < -800
    for number, nodule in enumerate(phantom.nodules, 1):
        inside = hu[labels == number]
        assert len(inside) >= 1
        assert inside.mean() > background + 80
        assert lung[labels == number].mean() > 0.6
        near = phantom.volume.to_index(np.array([nodule.centre_mm]))[0]
        assert labels[tuple(np.rint(near).astype(int))] in (number, 0)


def test_the_same_seed_and_spec_give_the_same_bytes(phantom: Phantom) -> None:
    again = make_phantom(5, SMALL)
    assert again.volume.hu_DHW.tobytes() == phantom.volume.hu_DHW.tobytes()
    assert again.volume.uid == phantom.volume.uid
    assert [n.centre_mm for n in again.nodules] == [n.centre_mm for n in phantom.nodules]


def test_uids_depend_on_seed_and_spec() -> None:
    specs = [SMALL, PhantomSpec()]
    uids = {phantom_uid(seed, spec) for seed in (1, 2) for spec in specs}
    assert len(uids) == 4
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_a_phantom_may_be_healthy() -> None:
    chest = lung_cell()
    before = chest.hu_DHW.copy()
    assert add_nodules(chest, PhantomSpec(nodules=(0, 0)), np.random.default_rng(0)) == ()
    assert np.array_equal(chest.hu_DHW, before)


def test_held_out_phantoms_use_held_out_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    for split in ("train", "test"):
        library = load_shapes(split)
        draw = type(library).draw

        def spy(self, rng, diameter_mm=None, draw=draw):  # type: ignore[no-untyped-def]
            shape = draw(self, rng, diameter_mm)
            used.append(shape.patient)
            return shape

        with monkeypatch.context() as patch:
            patch.setattr(type(library), "draw", spy)
            add_nodules(lung_cell(), PhantomSpec(nodules=(5, 5), split=split), np.random.default_rng(1))
    assert len(used) == 10
    assert max(used[:5]) < 530 <= min(used[5:])
    assert split_of_seed(FIRST_TEST_SEED - 1) == "train"
    assert split_of_seed(FIRST_TEST_SEED) == "test"


def test_drawn_protocols_vary_as_in_hospitals() -> None:
    specs = [draw_spec(seed) for seed in range(80)]
    assert specs[3] == draw_spec(3)
    assert {s.kernel for s in specs} == {"soft", "standard", "sharp"}
    assert len({s.slice_mm for s in specs}) == 6
    assert all((s.thickness_mm or 0) >= s.slice_mm for s in specs)
    assert all(0.6 < s.pixel_mm < 0.85 for s in specs)
    assert draw_spec(3, "test").split == "test"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nodules": (3, 1)}, r"nodules is \(3, 1\), wanted \(fewest, most\)"),
        ({"kernel": "bone"}, "kernel is 'bone', wanted one of soft, standard, sharp"),
        ({"split": "dev"}, "split is 'dev', wanted one of train, test"),
        ({"kind": "cystic"}, "kind is 'cystic', wanted None or one of solid"),
        ({"placement": "hilar"}, "placement is 'hilar', wanted None or one of isolated"),
        ({"dose": 0.0}, "dose is 0.0, wanted above 0"),
    ],
)
def test_a_wrong_spec_names_its_field(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomSpec(**wrong)
