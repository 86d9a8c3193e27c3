"""Shapes, size and cost of the compact networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from apps.nodule.models.compact import CROP, STRIDE, CompactNet, JudgeNet, ProposalNet, normalise


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """A fresh network, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval()


def test_normalise_maps_air_and_bone_to_the_ends() -> None:
    hu = torch.tensor([-3000.0, -1000.0, -300.0, 400.0, 3000.0])
    torch.testing.assert_close(normalise(hu), torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]))


def test_the_weights_fit_into_the_package() -> None:
    parameters = sum(p.numel() for p in CompactNet().parameters())
    assert parameters == 1_931_226
    assert 4 * parameters < 8e6, "bytes; all embedded weights of the apps together may take 60 MB"


@pytest.mark.parametrize("size", [(8, 8, 8), (24, 40, 16)])
def test_proposals_come_in_cells_of_4_mm(size: tuple[int, int, int]) -> None:
    with torch.inference_mode():
        output = ProposalNet().eval()(torch.zeros(2, 1, *size))
    assert output.shape == (2, 5, *(n // STRIDE for n in size))
    assert torch.isfinite(output).all()


def test_the_judge_gives_five_numbers_a_cube() -> None:
    with torch.inference_mode():
        output = JudgeNet().eval()(torch.zeros(3, 1, CROP, CROP, CROP))
    assert output.shape == (3, 5)


def test_a_fresh_network_expects_few_nodules_of_8_mm() -> None:
    net = CompactNet().eval()
    torch.nn.init.zeros_(net.proposal.head.weight)
    with torch.inference_mode():
        output = net.proposal(torch.zeros(1, 1, 8, 8, 8))[0, :, 0, 0, 0]
    assert output[0].sigmoid() == pytest.approx(0.01, abs=1e-3)
    assert output[1:4].tolist() == [0, 0, 0]
    assert output[4].exp() == pytest.approx(8.0, rel=1e-5)


def test_proposals_move_with_the_picture() -> None:
    """By 8 voxels, the coarsest stride; what lies away from the border does not depend on where the tile begins."""
    net = seeded(ProposalNet)
    noise = torch.randn((1, 1, 192, 16, 16), generator=torch.Generator().manual_seed(3)).clamp(-1, 1)
    with torch.inference_mode():
        whole, moved = net(noise), net(noise[:, :, 8:])
    assert whole.std() > 0.01
    # a cell sees 18 cells of 4 mm to each side
    torch.testing.assert_close(whole[:, :, 20:-18], moved[:, :, 18:-18], rtol=0, atol=1e-5)
    assert (whole[:, :, 2:] - moved).abs().max() > 1e-4


def test_a_cube_is_judged_alike_alone_and_in_company() -> None:
    net = seeded(JudgeNet)
    cubes = torch.randn((5, 1, CROP, CROP, CROP), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        together = net(cubes)
        alone = torch.cat([net(cube[None]) for cube in cubes])
    assert together.std() > 0.01
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
