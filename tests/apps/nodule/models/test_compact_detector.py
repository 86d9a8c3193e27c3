"""From a volume to candidates: positions in the patient, lungs only, and files that hold no weights."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from apps.nodule.config import ModelConfig
from apps.nodule.data.lung_box import lung_box
from apps.nodule.data.volume import Volume
from apps.nodule.models import compact_detector
from apps.nodule.models.compact import SPACING_MM, CompactNet, JudgeNet
from apps.nodule.models.compact_detector import (
    FEWEST,
    HALO,
    MOST,
    CompactDetector,
    Proposals,
    load_compact,
    save_compact,
)
from apps.nodule.models.tiling import slabs
from core.errors import ConfigError, InputError
from tests.apps.nodule.bodies import AIR, TISSUE, Ball, Body, affine_around, orientation, scan_of, small_scan

BALLS = (Ball((-48.4, 9.7, 21.3), 8.0), Ball((36.2, -20.9, -30.6), 11.0))
CPU = torch.device("cpu")


class Contrast(nn.Module):
    """A proposal network whose answer is known: a cell of tissue in dark surroundings is a centre, 8 mm wide."""

    def forward(self, x: Tensor) -> Tensor:
        tissue = F.avg_pool3d((x > 0).float(), 4)
        around = F.avg_pool3d(F.pad(tissue, (3,) * 6, mode="replicate"), 7, stride=1)
        rest = torch.zeros_like(tissue).expand(-1, 3, -1, -1, -1)
        return torch.cat([20 * (tissue - 3 * around) - 6, rest, torch.full_like(tissue, np.log(8.0))], dim=1)


class Centroid(nn.Module):
    """A judge whose answer is known: the middle and the amount of tissue within 9 mm, if there is none beyond."""

    def forward(self, x: Tensor) -> Tensor:
        share = ((x[:, 0] * 700 - 300 + 850) / 890).clamp(0, 1)
        axis = torch.arange(x.shape[-1]) - (x.shape[-1] - 1) / 2
        d, h, w = torch.meshgrid(axis, axis, axis, indexing="ij")
        away = (d**2 + h**2 + w**2).sqrt()
        near = share * (away < 9)
        amount = near.sum(dim=(1, 2, 3)).clamp(min=1e-3)
        offsets = [(near * a).sum(dim=(1, 2, 3)) / amount / 4 for a in (d, h, w)]
        beyond = (share * ((away > 11) & (away < 15))).sum(dim=(1, 2, 3))
        logit = torch.where(beyond < 200, 4.0, -4.0)
        return torch.stack([logit, *offsets, (6 * amount / torch.pi).log() / 3], dim=1)


def detector(net: nn.Module | None = None, **model: object) -> CompactDetector:
    known = CompactNet()
    known.proposal, known.judge = Contrast(), Centroid()  # type: ignore[assignment]
    return CompactDetector(net or known, "test", 0.5, ModelConfig(**model), CPU)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["axial", "flipped", "coronal", "oblique", "sheared"])
def test_the_same_nodules_are_found_in_every_orientation(name: str) -> None:
    detected = detector().detect(small_scan(Body(balls=BALLS), name)).candidates
    strong = [c for c in detected if c.probability > 0.5]
    assert len(strong) == len(BALLS)
    for ball in BALLS:
        gaps = [float(np.linalg.norm(np.subtract(c.centre_mm, ball.centre_mm))) for c in strong]
        assert min(gaps) < 0.3
        assert strong[int(np.argmin(gaps))].diameter_mm == pytest.approx(ball.diameter_mm, abs=0.5)


def test_candidates_fall_in_probability_from_plain_numbers() -> None:
    detected = detector().detect(small_scan(Body(balls=BALLS))).candidates
    probabilities = [c.probability for c in detected]
    assert len(detected) >= 2
    assert probabilities == sorted(probabilities, reverse=True)
    for c in detected:
        assert [type(v) for v in (*c.centre_mm, c.diameter_mm, c.probability)] == [float] * 5
        assert 0.02 <= c.probability <= 1


def test_the_floor_and_the_most_candidates_hold() -> None:
    body = Body(balls=(*BALLS, Ball((-40.0, -10.0, -25.0), 9.0)))
    volume = small_scan(body)
    every = detector(candidate_threshold=0.0).detect(volume).candidates
    assert len(every) >= 3
    assert detector(candidate_threshold=0.0, max_candidates=2).detect(volume).candidates == every[:2]
    assert all(c.probability >= 0.6 for c in detector(candidate_threshold=0.6).detect(volume).candidates)


def test_what_lies_outside_the_lungs_is_not_a_proposal() -> None:
    """A stone in the air beside the chest resembles a nodule to the network."""
    outside = Ball((86.0, 62.0, 0.0), 8.0)
    volume = small_scan(Body(balls=(*BALLS, outside)))
    centres = [c.centre_mm for c in detector(candidate_threshold=0.0).detect(volume).candidates]
    gaps = np.linalg.norm(np.array(centres) - outside.centre_mm, axis=1)
    assert len(gaps) >= len(BALLS)
    assert gaps.min() > 15


def test_slabs_do_not_change_what_is_found() -> None:
    """Depth 32: a border between slabs goes through nodules, which are still found once."""
    places_mm = [(-42.0, z) for z in (-37.0, -4.0, 28.0)] + [(42.0, z) for z in (-34.5, -4.5, 25.5)]
    balls = tuple(Ball((x, 5.0, z), 9.0) for x, z in places_mm)
    volume = small_scan(Body(balls=balls))
    box = lung_box(volume, SPACING_MM)
    borders = {float(tile.high[0]) + box.grid.origin_mm[2] for tile in slabs(box.mask_DHW, 32, HALO)}
    assert len(borders) >= 3
    assert sum(min(abs(z - b) for b in borders) < 3 for _, z in places_mm) >= 5
    whole, in_slabs = (
        [c for c in detector(tile=depth).detect(volume).candidates if c.probability > 0.5]
        for depth in (512, 32)
    )
    assert len(whole) == len(in_slabs) == len(balls)
    for a in whole:
        assert min(np.linalg.norm(np.subtract(a.centre_mm, b.centre_mm)) for b in in_slabs) < 0.2


def test_the_judges_company_does_not_change_its_answer() -> None:
    """Eight cubes at once: nine are judged as each would be alone."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        net = CompactNet()
    searching = detector(net)
    hu = np.random.default_rng(3).normal(-600, 300, (60, 60, 60)).astype(np.float32)
    centres = np.random.default_rng(4).uniform(0, 60, (9, 3))
    detected = Proposals(centres, np.full(9, 8.0), np.linspace(0.9, 0.1, 9))
    together = searching.judge(hu, detected)
    for i in (0, 7, 8):
        alone = searching.judge(
            hu, Proposals(centres[i : i + 1], detected.diameters_N[:1], detected.scores_N[i : i + 1])
        )
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[i], theirs[0], rtol=1e-4, atol=1e-4)


class Shouting(nn.Module):
    """A judge that is as sure as numbers allow."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([[-200.0, 0, 0, 0, 900.0], [200.0, 0, 0, 0, -900.0]])


def test_extreme_verdicts_stay_within_range() -> None:
    searching = detector()
    searching.net.judge = Shouting()  # type: ignore[assignment]
    detected = Proposals(np.full((2, 3), 20.0), np.full(2, 8.0), np.array([1.0, 0.25]))
    _, diameters, scores = searching.judge(np.zeros((40, 40, 40), np.float32), detected)
    np.testing.assert_allclose(diameters, [60, 2], rtol=1e-5)
    np.testing.assert_allclose(scores, [0, 0.5])


@pytest.mark.parametrize(
    ("value", "shape"),
    [(AIR, (40, 64, 64)), (TISSUE, (40, 64, 64)), (-850.0, (40, 64, 64)), (TISSUE, (20, 1, 1))],
)
def test_without_lungs_there_is_an_answer(value: float, shape: tuple[int, int, int]) -> None:
    affine = affine_around(orientation("axial", (2.5, 0.7, 0.7)), shape, (0, 0, 0))
    assert detector().detect(Volume(np.full(shape, value, np.int16), affine, "plain")).candidates == []


def test_a_field_of_view_within_a_lung_is_searched() -> None:
    """64 × 64 × 40 voxels, no wall in sight."""
    ball = Ball((45.0, 0.0, 0.0), 8.0)
    shape = (40, 64, 64)
    volume = scan_of(
        Body(lung_mm=(70, 70, 90), balls=(ball,)),
        affine_around(orientation("axial", (1.25, 0.7, 0.7)), shape, (42, 2, 3)),
        shape,
    )
    (detected,) = [c for c in detector().detect(volume).candidates if c.probability > 0.5]
    assert np.linalg.norm(np.subtract(detected.centre_mm, ball.centre_mm)) < 0.3


def test_a_scan_of_300_slices_costs_at_most_0_3_tflop() -> None:
    """Two lungs of 2.9 litres each (a tall adult, breathed in) on 512 × 512 × 300 voxels of 0.7 × 0.7 × 1.25 mm.

    Every cell is a proposal too weak for a finding, so as many positions are judged as in any usual scan.
    """
    body = Body(trunk_mm=(170.0, 120.0), lung_mm=(62.0, 85.0, 131.0), apart_mm=78.0)
    shape = (300, 512, 512)
    volume = scan_of(body, affine_around(orientation("axial", (1.25, 0.7, 0.7)), shape, (0, 0, 0)), shape)
    fresh = detector(CompactNet(), candidate_threshold=0.0)
    nn.init.constant_(fresh.net.proposal.head.bias, -2.0)
    judged: list[int] = []
    fresh.net.judge.register_forward_hook(lambda _, given, __: judged.append(len(given[0])))
    with FlopCounterMode(display=False) as counter:
        fresh.detect(volume)
    assert sum(judged) == FEWEST
    flops = counter.get_total_flops()
    assert 0.1e12 < flops <= 0.3e12, f"{flops / 1e12:.3f} TFLOP"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as stage=train leaves it."""
    path = tmp_path_factory.mktemp("weights") / "compact.safetensors"
    save_compact(CompactNet(), path, {"version": "1.2.3", "threshold": "0.37"})
    return path


def test_a_file_brings_version_and_working_point(weights: Path) -> None:
    loaded = load_compact(ModelConfig(device="cpu"), str(weights))
    assert (loaded.name, loaded.version, loaded.threshold) == ("compact", "1.2.3", 0.37)
    assert not loaded.net.training
    assert load_compact(ModelConfig(threshold=0.8), str(weights)).threshold == 0.8
    assert load_compact(ModelConfig(threshold=0.0), str(weights)).threshold == 0.0


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": torch.zeros(3)}))


def write_torch(path: Path) -> None:
    torch.save(CompactNet().state_dict(), path)


def write_other(path: Path) -> None:
    save_file(JudgeNet().state_dict(), path)


def write_cut(path: Path) -> None:
    save_compact(CompactNet(), path, {})
    path.write_bytes(path.read_bytes()[:100_000])


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_ran_away(path: Path) -> None:
    net = CompactNet()
    nn.init.constant_(net.judge.head.weight, float("nan"))
    save_compact(net, path, {})


def write_odd_threshold(path: Path) -> None:
    save_compact(CompactNet(), path, {"threshold": "half"})


def write_wide_threshold(path: Path) -> None:
    save_compact(CompactNet(), path, {"threshold": "nan"})


@pytest.mark.parametrize(
    "write",
    [
        write_pickle, write_torch, write_other, write_cut, write_empty, write_ran_away,
        write_odd_threshold, write_wide_threshold,
    ],
)  # fmt: skip
def test_files_that_hold_no_weights_are_named_in_one_line(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    write(path)
    with pytest.raises(InputError) as caught:
        load_compact(ModelConfig(), str(path))
    assert caught.value.code == "weights_unfit"
    assert caught.value.sentence == f"{path} holds no weights of the compact detector"


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_compact(ModelConfig(), str(tmp_path / "none"))
    assert caught.value.code == "weights_missing"
    assert caught.value.sentence == f"the weights file {tmp_path / 'none'} does not exist or is not a file"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^model.device=cuda, but no GPU is available here: use auto or cpu$"
    ):
        load_compact(ModelConfig(device="cuda"), str(tmp_path / "none"))


def test_the_box_is_on_the_networks_spacing() -> None:
    assert lung_box(small_scan(Body()), SPACING_MM).grid.spacing_mm == 1.0


def crowd(count: int) -> Body:
    """Lungs with many nodules of 8 mm, 20 mm apart."""
    lung_mm = (62.0, 85.0, 120.0)
    steps = [np.arange(-n, n + 1, 24.0) for n in (24, 48, 96)]
    every = [(side * 78 + x, y, z) for side in (-1, 1) for z in steps[2] for y in steps[1] for x in steps[0]]
    inside = [p for p in every if (((abs(p[0]) - 78) / 46) ** 2 + (p[1] / 69) ** 2 + (p[2] / 104) ** 2) < 1]
    assert len(inside) >= count
    return Body((170.0, 120.0), lung_mm, 78.0, tuple(Ball(p, 8.0) for p in inside[:count]))


def test_sixty_nodules_in_one_chest_are_all_reported_and_the_limit_is_what_was_set() -> None:
    body = crowd(60)
    volume = small_scan(body, spacing_mm=(2.5, 2.0, 2.0), room_mm=(350.0, 250.0, 250.0))
    detected = detector().detect(volume)
    strong = [c.centre_mm for c in detected.candidates if c.probability >= 0.5]
    for ball in body.balls:
        assert np.linalg.norm(np.array(strong) - ball.centre_mm, axis=1).min() < 4
    assert "candidate_limit" not in dict(detected.notes), "none of the 60 was left out"
    few = detector(max_candidates=30).detect(volume)
    assert len(few.candidates) == 30
    left = re.fullmatch(r".*beyond the best 30 .*: (\d+)\.", dict(few.notes)["candidate_limit"])
    assert left
    assert int(left[1]) >= 30
    many = detector(max_candidates=1000, candidate_threshold=0.0).detect(volume)
    assert len(many.candidates) >= 60
    assert "candidate_limit" not in dict(many.notes)
    assert dict(many.notes)["not_searched"].startswith("Not searched for:")


@pytest.mark.parametrize(("most", "left"), [(None, 0), (1, 2), (2, 1), (3, 0), (1000, 0)])
def test_a_limit_that_hid_no_finding_is_not_noted(most: int | None, left: int) -> None:
    """Beside three nodules lie positions that the judge may not lift to the working point."""
    volume = small_scan(Body(balls=(*BALLS, Ball((-40.0, -10.0, -25.0), 9.0))))
    known = detector(candidate_threshold=0.0, max_candidates=most)
    box = lung_box(volume, SPACING_MM)
    assert known.propose(box, MOST).reaching(known.threshold) == 3
    notes = dict(known.detect(volume).notes)
    assert ("candidate_limit" in notes) == (left > 0)
    assert not left or notes["candidate_limit"].endswith(f": {left}.")


def test_more_candidates_than_the_limit_are_noted_without_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_detector, "MOST", 2)
    monkeypatch.setattr(compact_detector, "FEWEST", 1)
    volume = small_scan(Body(balls=(*BALLS, Ball((-40.0, -10.0, -25.0), 9.0))))
    detected = detector(candidate_threshold=0.0).detect(volume)
    assert len(detected.candidates) == 2
    assert dict(detected.notes)["candidate_limit"].endswith(
        "beyond the best 2 (set by model.max_candidates): 1."
    )


def test_without_a_lung_nothing_is_searched_and_the_note_says_so() -> None:
    shape = (40, 64, 64)
    affine = affine_around(orientation("axial", (2.5, 3.0, 3.0)), shape, (0, 0, 0))
    detected = detector().detect(Volume(np.full(shape, TISSUE, np.int16), affine, "tissue"))
    assert detected.candidates == []
    assert [code for code, _ in detected.notes] == ["no_lung"]


def test_thick_slices_are_noted() -> None:
    thick = small_scan(Body(balls=BALLS), spacing_mm=(5.0, 2.0, 2.0))
    notes = dict(detector().detect(thick).notes)
    assert notes["thick_slices"].startswith("The slices lie 5.0 mm apart: nodules below 10 mm")
    assert "thick_slices" not in dict(
        detector().detect(small_scan(Body(balls=BALLS), spacing_mm=(3, 2, 2))).notes
    )
