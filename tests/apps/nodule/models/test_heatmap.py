"""Nodules drawn as heat maps and read back; losses that point the right way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from apps.nodule.models.heatmap import REGRESSED_ABOVE, encode, judge_loss, peaks, proposal_loss

CELLS = (8, 10, 12)
# d, h, w in voxels; between cells, on a cell's border, near the map's border
CENTRES = np.array([[9.5, 8.2, 10.9], [20.0, 20.0, 35.9], [0.0, 39.0, 2.0], [28.3, 5.5, 41.7]])
DIAMETERS = np.array([4.0, 9.3, 6.0, 27.0])


def as_output(heat: np.ndarray, box: np.ndarray) -> Tensor:
    """What a perfect network would say."""
    logit = torch.logit(torch.from_numpy(heat).clamp(1e-4, 1 - 1e-4))
    return torch.cat([logit[None], torch.from_numpy(box)])


def test_what_is_drawn_is_found_again() -> None:
    targets = encode(CENTRES, DIAMETERS, CELLS)
    assert targets.heat_dhw.shape == CELLS
    assert targets.box_4dhw.shape == (4, *CELLS)
    assert (targets.heat_dhw == 1).sum() == len(CENTRES)
    centres, diameters, scores = peaks(as_output(*targets), most=10, floor=0.9)
    assert len(centres) == len(CENTRES)
    assert (scores >= 0.99).all()
    for centre, diameter in zip(CENTRES, DIAMETERS, strict=True):
        nearest = int(np.argmin(np.linalg.norm(centres - centre, axis=1)))
        np.testing.assert_allclose(centres[nearest], centre, atol=0.01)
        assert diameters[nearest] == pytest.approx(diameter, abs=0.01)


def test_every_cell_that_learns_a_box_points_at_the_same_centre() -> None:
    """Not the peak alone: a network whose maximum is a cell beside must still be right."""
    heat, box = encode(CENTRES[1:2], DIAMETERS[1:2], CELLS)
    near = np.argwhere(heat > REGRESSED_ABOVE)
    assert len(near) >= 2
    for d, h, w in near:
        centre = (np.array([d, h, w]) + box[:3, d, h, w]) * 4 + 1.5
        np.testing.assert_allclose(centre, CENTRES[1], atol=1e-4)
        assert np.exp(box[3, d, h, w]) == pytest.approx(DIAMETERS[1], rel=1e-5)


def test_close_nodules_each_keep_their_peak() -> None:
    centres = np.array([[13.5, 13.5, 13.5], [13.5, 13.5, 25.5]])
    centres_found, diameters, _ = peaks(
        as_output(*encode(centres, np.array([8.0, 5.0]), CELLS)), most=9, floor=0.9
    )
    order = np.argsort(centres_found[:, 2])
    np.testing.assert_allclose(centres_found[order], centres, atol=0.01)
    np.testing.assert_allclose(diameters[order], [8, 5], atol=0.01)


def test_no_nodule_is_an_empty_map() -> None:
    heat, box = encode(np.zeros((0, 3)), np.zeros(0), CELLS)
    assert not heat.any()
    assert not box.any()
    assert len(peaks(as_output(heat, box), most=9, floor=0.5)[0]) == 0


def test_peaks_are_best_first_and_few() -> None:
    output = torch.full((5, 6, 6, 6), -9.0)
    output[0, ::3, ::3, ::3] = torch.arange(8.0).reshape(2, 2, 2) / 10
    _, diameters, scores = peaks(output, most=3, floor=0.1)
    np.testing.assert_allclose(scores, torch.sigmoid(torch.tensor([0.7, 0.6, 0.5])), rtol=1e-6)
    assert len(peaks(output, most=99, floor=0.0)[2]) >= 8
    assert (diameters == 2.0).all(), "never below 2 mm"


def batch(heat: np.ndarray, box: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(heat)[None], torch.from_numpy(box)[None]


def test_the_proposal_loss_points_to_the_targets() -> None:
    targets = encode(CENTRES, DIAMETERS, CELLS)
    heat, box = batch(*targets)
    valid = torch.ones_like(heat)
    perfect = proposal_loss(as_output(*targets)[None], heat, box, valid)
    output = torch.zeros((1, 5, *CELLS), requires_grad=True)
    losses = proposal_loss(output, heat, box, valid)
    assert set(losses) == {"centre", "box"}
    assert perfect["box"] == 0
    assert perfect["centre"] < 0.1 < losses["centre"]
    total = losses["centre"] + losses["box"]
    total.backward()
    assert torch.isfinite(total)
    assert output.grad is not None
    gradient = output.grad[0]
    assert (gradient[0][heat[0] == 1] < 0).all(), "centres want a higher logit"
    assert (gradient[0][heat[0] < 0.5] > 0).all(), "the rest a lower one"
    near = heat[0] > REGRESSED_ABOVE
    wanted = box[0][:, near]
    assert (torch.sign(gradient[1:][:, near]) == -torch.sign(wanted)).all()
    assert (gradient[1:][:, ~near] == 0).all()


@pytest.mark.parametrize("logit", [-80.0, 80.0])
def test_the_proposal_loss_stays_finite_at_extremes(logit: float) -> None:
    heat, box = batch(*encode(CENTRES, DIAMETERS, CELLS))
    output = torch.full((1, 5, *CELLS), logit, requires_grad=True)
    losses = proposal_loss(output, heat, box, torch.ones_like(heat))
    (losses["centre"] + losses["box"]).backward()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()


def test_what_is_not_known_counts_for_nothing() -> None:
    heat, box = batch(*encode(CENTRES, DIAMETERS, CELLS))
    output = torch.randn((1, 5, *CELLS), generator=torch.Generator().manual_seed(1), requires_grad=True)
    losses = proposal_loss(output, heat, box, torch.zeros_like(heat))
    assert losses["centre"] == 0
    assert losses["box"] == 0
    half = torch.ones_like(heat)
    half[:, 4:] = 0
    losses = proposal_loss(output, heat, box, half)
    (losses["centre"] + losses["box"]).backward()
    assert output.grad is not None
    assert (output.grad[:, :, 4:] == 0).all()
    assert (output.grad[:, 0, :4] != 0).all()


def test_the_judges_loss_points_to_the_truth() -> None:
    is_nodule = torch.tensor([1.0, 0.0])
    box = torch.tensor([[0.5, -0.5, 0.25, 2.0], [9.0, 9.0, 9.0, 9.0]])
    output = torch.zeros((2, 5), requires_grad=True)
    losses = judge_loss(output, is_nodule, box)
    (losses["verdict"] + losses["box"]).backward()
    assert output.grad is not None
    assert output.grad[0, 0] < 0 < output.grad[1, 0]
    assert (torch.sign(output.grad[0, 1:]) == -torch.sign(box[0])).all()
    assert (output.grad[1, 1:] == 0).all(), "what is not a nodule has no box"
    none = judge_loss(output, torch.zeros(2), box)
    assert none["box"] == 0
    assert torch.isfinite(none["verdict"])
