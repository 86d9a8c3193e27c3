from __future__ import annotations

import torch

from apps.nodule.models.compact import CROP, STRIDE, JudgeNet, ProposalNet, normalise
from apps.nodule.models.heatmap import judge_loss, proposal_loss
from apps.nodule.models.learning import Judging, Proposing
from core.training.config import TrainerConfig

EDGE = 32
CELLS = (EDGE // STRIDE,) * 3


def test_a_proposal_step_weighs_boxes_half_as_much_as_centres() -> None:
    torch.manual_seed(0)
    net = ProposalNet().eval()
    hu = torch.full((2, 1, EDGE, EDGE, EDGE), -800.0)
    heat, box, valid = torch.rand(2, *CELLS), torch.rand(2, 4, *CELLS), torch.ones(2, *CELLS)
    heat[:, 0, 0, 0] = 1.0
    loss = Proposing(net, TrainerConfig()).training_step((hu, heat, box, valid), 0)
    losses = proposal_loss(net(normalise(hu)), heat, box, valid)
    assert losses["box"] > 0
    torch.testing.assert_close(loss, losses["centre"] + 0.5 * losses["box"])


def test_a_judge_step_weighs_boxes_a_tenth_as_much_as_verdicts() -> None:
    torch.manual_seed(0)
    net = JudgeNet().eval()
    hu, is_nodule, box = torch.zeros(2, 1, CROP, CROP, CROP), torch.tensor([1.0, 0.0]), torch.ones(2, 4)
    loss = Judging(net, TrainerConfig()).training_step((hu, is_nodule, box), 0)
    losses = judge_loss(net(normalise(hu)), is_nodule, box)
    assert losses["box"] > 0
    torch.testing.assert_close(loss, losses["verdict"] + 0.1 * losses["box"])


def test_the_optimiser_trains_every_parameter_at_the_rate_of_the_config() -> None:
    net = JudgeNet()
    made = Judging(net, TrainerConfig(learning_rate=0.003)).configure_optimizers()
    groups = made["optimizer"].param_groups
    held = [parameter for group in groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in net.parameters()}
    assert {group["initial_lr"] for group in groups} == {0.003}
