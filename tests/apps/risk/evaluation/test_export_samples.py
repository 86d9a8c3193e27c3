"""Inputs of exported networks: recorded while a model is asked, cut into samples, or drawn."""

from __future__ import annotations

from dataclasses import replace

import torch

from apps.risk.evaluation.export_samples import DRAWN, SAMPLES, drawn, pieces, recorded, with_samples
from apps.risk.models.exported import Networks
from core.export.network import Network
from core.export.ports import Port
from tests.core.export.networks import network


def named(name: str) -> Network:
    return replace(network(), name=name, module=torch.nn.Identity())


def test_what_a_network_is_given_is_recorded() -> None:
    answers = []

    def ask(networks: Networks) -> None:
        answers.extend(networks["a"](torch.full((2, 3), float(number))) for number in range(3))

    held = recorded([named("a"), named("b")], ask)
    assert list(held) == ["a"]
    (batch,) = held["a"]
    assert batch[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert answers[2].tolist() == [[2.0] * 3] * 2


def test_what_the_judge_asks_is_real_and_what_came_earlier_calibrates() -> None:
    (a,) = with_samples(
        [named("a")],
        lambda networks: networks["a"](torch.zeros(4, 1)),
        lambda networks: networks["a"](torch.ones(4, 1)),
    )
    assert a.calibration is not None
    assert float(next(a.real())[0][0]) == 0.0
    calibrates = [sample for (sample,) in a.calibration()]
    assert [float(sample.mean()) for sample in calibrates[:4]] == [1.0] * 4
    assert len(calibrates) == 4 + DRAWN
    assert len({float(sample.mean()) for sample in calibrates[4:]}) == DRAWN


def test_pieces_are_of_one_size() -> None:
    whole = torch.arange(3 * SAMPLES + 1)
    parts = [piece for (piece,) in pieces((whole,))]
    assert len(parts) == SAMPLES
    assert {len(piece) for piece in parts} == {3}
    assert torch.equal(torch.cat(parts), whole[:-1])
    assert len(list(pieces((torch.arange(5),)))) == 5


def test_random_inputs_are_of_the_ports_types_and_codes() -> None:
    ports = (
        Port("past", ("G", 2)),
        Port("known", ("G", 2), "bool"),
        Port("kind", ("G",), "int64"),
        Port("code", ("G", 2), "int64"),
    )
    past, known, kind, code = drawn(ports, {"G": 500}, torch.Generator().manual_seed(0), (3, 7))
    assert past.shape == known.shape == code.shape == (500, 2)
    assert past.abs().amin() < 0.1 < 20 < past.abs().amax()  # series of many units
    assert 0.8 < known.float().mean() < 1.0
    assert sorted(set(kind.tolist())) == [0, 1, 2, 3]
    assert code.amin(dim=0).tolist() == [0, 0]
    assert code.amax(dim=0).tolist() == [2, 6]
