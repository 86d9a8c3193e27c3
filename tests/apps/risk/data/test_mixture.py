"""The pretraining mixture: batches by number, real series that end in time, futures that are not known to the past."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from apps.risk.data import mixture
from apps.risk.data.mixture import FINETUNE, LONG, MEMBERS, PRETRAIN, UNTIL, Material, Mixture, load_material
from core.errors import InputError

pytestmark = pytest.mark.slow

RETURNS = np.random.default_rng(0).normal(size=(5, 300))
LEVELS = {"hourly": [np.arange(400.0)], "rates": [np.linspace(1, 2, 300)]}


@pytest.fixture(scope="module")
def small() -> Mixture:
    return Mixture(Material(RETURNS, LEVELS), PRETRAIN, context=32, ahead=8, futures=4)


def test_a_batch_depends_on_seed_and_number_alone(small: Mixture) -> None:
    unbroken = list(itertools.islice(small.stream(1, 16, 0, 0, 1), 6))
    later = list(itertools.islice(small.stream(1, 16, 4, 0, 1), 2))
    for one, same in zip(unbroken[4:], later, strict=True):
        for part, other in zip(one, same, strict=True):
            assert torch.equal(part, other)
    shared = [next(iter(small.stream(1, 16, 0, rank, 2))) for rank in range(2)]
    for one, same in zip(unbroken[:2], shared, strict=True):
        assert torch.equal(one.past_BC, same.past_BC)
    assert not torch.equal(unbroken[0].past_BC, unbroken[1].past_BC)


def test_every_kind_comes_and_is_whole(small: Mixture) -> None:
    samples = [small.samples(0, number, 16) for number in range(60)]
    assert {sample.label_BKH.shape[2] for sample in samples} == {8, LONG}
    assert {sample.label_BKH.shape[1] for sample in samples} == {1, 4}
    for sample in samples:
        assert sample.past_BC.shape == sample.known_BC.shape == (16, 32)
        assert torch.isfinite(sample.past_BC).all()
        assert torch.isfinite(sample.label_BKH).all()
        assert sample.counts_BKH.any()
        assert set(sample.group_B.tolist()) == set(range(int(sample.group_B.max()) + 1))
    groups = torch.cat([sample.group_B.bincount() for sample in samples])
    assert set(groups.tolist()) == {1, MEMBERS}
    assert any(not sample.known_BC.all() for sample in samples)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 9, 20])
def test_a_batch_of_any_size_is_the_first_of_whole_groups(small: Mixture, size: int) -> None:
    for number in range(30):
        whole, cut = small.samples(0, number, -(-size // MEMBERS) * MEMBERS), small.samples(0, number, size)
        for name in ("past_BC", "known_BC", "label_BKH", "counts_BKH"):
            assert torch.equal(getattr(cut, name), getattr(whole, name)[:size])
        same = whole.group_B[:size, None] == whole.group_B[None, :size]
        assert torch.equal(cut.group_B[:, None] == cut.group_B[None], same)
        assert set(cut.group_B.tolist()) == set(range(int(cut.group_B.max()) + 1))


def test_a_level_continues_what_the_network_has_seen() -> None:
    made = Mixture(Material(RETURNS, {"hourly": LEVELS["hourly"]}), {"hourly": 1.0}, 64, 8)
    sample = made.samples(0, 0, 64)
    whole = torch.cat([sample.past_BC, sample.label_BKH[:, 0]], dim=1)
    steps = whole.diff(dim=1)[:, -LONG:]  # of a straight line: 1 a step, or changes that are all 1
    assert ((steps == 1).all(dim=1) | (steps == 0).all(dim=1)).all()
    assert {float(step) for step in steps.unique()} == {0.0, 1.0}


def test_kinds_without_material_are_simulated_instead() -> None:
    made = Mixture(Material(RETURNS), FINETUNE, 32, 8, futures=4)
    assert {made.samples(0, number, 8).label_BKH.shape[2] for number in range(40)} == {8, LONG}


def test_real_returns_end_before_the_years_that_judge() -> None:
    material, missing = load_material()
    assert material.returns_NT.shape[0] >= 3
    assert set(missing) <= {"stocks", "m4_hourly", "exchange_rate"}
    early, _ = load_material("2000-01-01")
    assert early.returns_NT.shape[1] < material.returns_NT.shape[1]
    assert UNTIL == "2008-01-01"


def test_samples_that_are_not_at_hand_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    load = mixture.load_sample

    def only_markets(name: str) -> mixture.Sample:
        if name != "markets":
            raise InputError("sample_missing", "not here")
        return load(name)

    monkeypatch.setattr(mixture, "load_sample", only_markets)
    material, missing = load_material()
    assert missing == ["stocks", "m4_hourly", "exchange_rate"]
    assert len(material.returns_NT) == 3
    assert material.levels == {}
