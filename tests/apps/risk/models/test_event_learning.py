"""Samples depend on seed and step alone; training resumes where it was interrupted; members see only their clients."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.risk.models import event_learning
from apps.risk.models.event_learning import Deck, EventBatches, begin, fit_riskformer_event, share_of
from apps.risk.models.feed import code_counts
from apps.risk.models.transformer import RiskFormer
from core.runs.log import RunLog
from core.training.config import TrainerConfig
from tests.apps.risk.models.events import SMALL, origins, untrained, windows

TRAINER = TrainerConfig(max_steps=80, batch_size=32, learning_rate=1e-2, warmup_steps=10, ema_decay=0.9)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_learning, "SIZE", SMALL)
    monkeypatch.setattr(event_learning, "MEMBERS", 2)


def source(hidden: float = 0.3) -> EventBatches:
    model = untrained()
    return EventBatches(windows(), origins(), model.levels, model.keep_V, hidden)


def test_a_deck_deals_all_before_any_comes_again() -> None:
    drawn = Deck(10, seed=1).draw(0, 40).reshape(4, 10)
    assert (np.sort(drawn, axis=1) == np.arange(10)).all()
    assert len({tuple(turn) for turn in drawn.tolist()}) == 4
    pieces = [Deck(10, seed=1).draw(first, 8) for first in range(0, 40, 8)]
    assert np.array_equal(np.concatenate(pieces), drawn.ravel())
    assert not np.array_equal(Deck(10, seed=2).draw(0, 10), drawn[0])


def test_a_stream_goes_on_anywhere() -> None:
    def samples(first: int, count: int, rank: int = 0, world: int = 1) -> list[list[float]]:
        stream = source().stream(5, 4, first, rank, world)
        return [
            [
                *sample.rows.past_BC.flatten().tolist(),
                *sample.rows.known_BC.flatten().tolist(),
                *sample.event_B,
            ]
            for sample in itertools.islice(iter(stream), count)
        ]

    whole = samples(0, 6)
    assert samples(4, 2) == whole[4:]
    ranks = [samples(0, 3, rank, 2) for rank in (0, 1)]
    assert [one for pair in zip(*ranks, strict=True) for one in pair] == whole
    assert whole[0] != whole[1]


def test_lessons_tell_the_outcome_and_hide_a_share() -> None:
    number = np.flatnonzero(origins().event_B == 1.0)[:40]
    sample = source(hidden=0.5).samples(0, number, 3)
    assert (sample.event_B == 1.0).all()
    plain = source(hidden=0.0).samples(0, number, 3)
    was, left = plain.rows.known_BC.any(dim=1), sample.rows.known_BC.any(dim=1)
    assert not (left & ~was).any()
    assert 0.35 < left.sum() / was.sum() < 0.65


def test_it_learns_what_decides_and_learns_it_again(tmp_path: Path) -> None:
    every = origins().where(np.arange(0, len(origins()), 3))
    batch, columns = event_learning.gather(windows(), every), windows().panel.columns
    used = batch.past_BCF[:, -1, columns.features.index("utilisation")].numpy()
    decided = dataclasses.replace(every, event_B=(used > np.quantile(used, 0.7)).astype(np.float64))
    with RunLog(tmp_path / "log.jsonl") as log:
        models = [
            fit_riskformer_event(windows(), decided, TRAINER, tmp_path / folder, log, seed=0)
            for folder in ("a", "a", "b")
        ]
    pd, loaded, anew = (model.probability(batch, columns) for model in models)
    assert pd.mean() == pytest.approx(0.3, abs=0.03)
    assert pd[decided.event_B == 1.0].mean() > 1.3 * pd[decided.event_B == 0.0].mean()
    assert len(models[0].members) == 2
    assert not models[0].keep_V[0]  # of those who are asked no default is known: it tells nothing
    # what is in the folder is loaded, and a second training gives the same
    assert np.array_equal(loaded, pd)
    assert np.array_equal(anew, pd)


def test_no_member_sees_the_clients_that_it_is_calibrated_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []

    def no_fit(module: object, data: EventBatches, *_: object) -> None:
        seen.append(set(data.origins.entity_B.tolist()))

    monkeypatch.setattr(event_learning, "fit_soundly", no_fit)
    with RunLog(tmp_path / "log.jsonl") as log:
        fit_riskformer_event(windows(), origins(), TRAINER, tmp_path, log, seed=0)
    clients = set(origins().entity_B.tolist())
    assert seen[0] | seen[1] == clients
    assert not seen[0] & seen[1]
    assert abs(len(seen[0]) - len(seen[1])) <= 1


def test_each_weight_that_is_trained_has_a_gradient() -> None:
    """Without one, processes that train together fail in their second step."""
    some = source(hidden=0.0)
    sample = some.samples(0, np.arange(40), 3)
    module = event_learning.EventTraining(
        begin(code_counts(windows().panel, latest=True), None), TRAINER, sum(some.keep_V)
    )
    module.training_step(sample, 0).backward()
    trained = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    assert [name for name, weight in trained.items() if weight.grad is None] == []
    assert len(trained) < len(list(module.parameters()))


def test_it_may_begin_from_a_trained_network() -> None:
    torch.manual_seed(1)
    start = RiskFormer(SMALL, (7,))
    net = begin((3, 5, 20), start)
    assert torch.equal(net.patch.hidden.weight, start.patch.hidden.weight)
    assert not torch.equal(net.event_head.weight, start.event_head.weight)
    assert [embedding.num_embeddings for embedding in net.statics] == [3, 5, 20]


def test_each_member_takes_its_share() -> None:
    share = share_of(TrainerConfig(max_steps=300, max_minutes=6.0, warmup_steps=200, ema_decay=0.998), 3)
    assert (share.max_steps, share.max_minutes, share.warmup_steps) == (100, 2.0, 10)
    assert share.ema_decay == pytest.approx(0.9)
    assert share_of(TrainerConfig(max_steps=2, ema_decay=0.0), 3).max_steps == 1
