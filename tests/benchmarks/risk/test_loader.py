"""The comparison of loaders: both sides have the same windows, train the same network, and are timed alike."""

from __future__ import annotations

import itertools
import json
import time
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.risk import loader
from benchmarks.risk.loader import (
    Clock,
    case_of,
    generated,
    interval,
    loaders,
    network,
    run,
    seconds,
    trained,
)
from core.errors import InputError
from core.terminal.silence import silenced

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of pandas, sklearn and lightning


@pytest.fixture(scope="module", params=["tft", "deepar"])
def case(request: pytest.FixtureRequest) -> loader.Case:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case_of(request.param, generated(6, 40))


def keyed(x: dict[str, torch.Tensor], index: int) -> tuple[int, int]:
    return int(x["groups"][index, 0]), int(x["decoder_time_idx"][index, 0])


def test_both_loaders_hand_over_the_same_windows(case: loader.Case) -> None:
    assert len(case.windows) == len(case.dataset) == 6 * (40 - 24 - 6 + 1)
    make = loaders(case, 33)
    theirs = {}
    for x, (y, _) in make["theirs"]():
        rows = zip(x["encoder_cont"], x["encoder_cat"], x["decoder_cont"], y, strict=True)
        theirs.update({keyed(x, i): row for i, row in enumerate(rows)})
    assert len(theirs) == 66
    x, (y, _) = next(iter(make["ours"]()))
    assert len(x["groups"]) == 33
    # tft is not handed what lies ahead (and must not look at it); deepar learns from the answers before each step
    ahead = 5 if case.name == "deepar" else 4
    assert x["decoder_cont"].shape[2] == (5 if case.name == "deepar" else 6)
    for i in range(33):
        past, code, future, answer = theirs[keyed(x, i)]
        torch.testing.assert_close(x["encoder_cont"][i], past, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(x["decoder_cont"][i, :, :ahead], future[:, :ahead], rtol=1e-4, atol=1e-4)
        assert torch.equal(x["encoder_cat"][i], code)
        torch.testing.assert_close(y[i], answer)


def test_both_sides_train_the_same_network_by_the_same_loss(case: loader.Case) -> None:
    first, second = network(case), network(case)
    wanted = first.state_dict()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in wanted.items())
    ours_x, ours_y = next(iter(loaders(case, 66)["ours"]()))
    theirs = {keyed(x, 0): (x, y) for x, (y, _) in loaders(case, 1)["theirs"]()}
    losses = []
    for i in range(66):
        x, y = theirs[keyed(ours_x, i)]
        losses.append(float(first.loss(first(x)["prediction"], (y, None)).detach()))
    ours = float(first.loss(first(ours_x)["prediction"], ours_y).detach())
    assert ours == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_record_tells_what_was_asked() -> None:
    before = torch.get_num_threads()
    record = run(rows="280", series="7", rounds="2", samples="16", batches="8")
    assert torch.get_num_threads() == before
    assert (record["rows"], record["series"], record["windows"]) == (280, 7, 77)
    assert list(record["training"]) == ["tft", "deepar"]
    for by_size in record["training"].values():
        assert list(by_size) == ["8"]
        figures = by_size["8"]
        for name in (name for name in figures if name.endswith(("ratio", "wall", "share"))):
            assert 0 < figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"], name
        assert (
            figures["loader_ratio"]["low"] > 1
        )  # the gather is many times faster: so even on a busy machine
    assert record["memory"]["table_bytes"] == pytest.approx(280 * (4 * 8 + 8 + 1 + 1), rel=0.4)
    assert record["contract_check_seconds"]["value"] > 0
    assert 0 < record["memory"]["kept_ratio"] <= record["memory"]["peak_ratio"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert set(record["headline"]) == {"ready", "windows", "tft trains faster by", "deepar trains faster by"}
    assert record["threads"] == 1


def test_the_first_step_is_not_timed(case: loader.Case) -> None:
    batch = next(iter(loaders(case, 4)["ours"]()))

    def slow_at_first() -> Any:
        time.sleep(1.0)
        yield from itertools.repeat(batch)

    class Slow:
        def __iter__(self) -> Any:
            return slow_at_first()

    with silenced():
        clock = trained(case, Slow(), 2)
    assert isinstance(clock, Clock)
    assert 0 < clock.seconds < 1.0
    assert 0 < clock.wall < 1.0


def test_with_one_thread_waiting_does_not_count() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert seconds(lambda: time.sleep(0.2)) < 0.1
        assert seconds(lambda: np.linalg.svd(np.ones((150, 150)))) > 0.0
        torch.set_num_threads(2)
        assert seconds(lambda: time.sleep(0.2)) >= 0.2
    finally:
        torch.set_num_threads(before)


def test_an_interval_holds_the_median_of_the_rounds() -> None:
    assert interval([3.0, 1.0, 2.0]) == {"value": 2.0, "low": 1.0, "high": 3.0}
    assert interval([12345.6] * 3) == {"value": 12350.0, "low": 12350.0, "high": 12350.0}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"series": "0"}, "series is '0', wanted a whole number above 0"),
        ({"batches": "64,many"}, "batches is 'many', wanted a whole number above 0"),
        ({"rows": "290", "series": "10"}, r"29 rows a series hold no window of 24 \+ 6: add rows"),
    ],
)
def test_words_that_do_not_serve_end_in_a_sentence(words: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        run(**words)


def test_two_sides_with_other_windows_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loader.data_set
    monkeypatch.setattr(loader, "data_set", lambda table, columns: whole(table.iloc[:40], columns))
    with pytest.raises(ValueError, match="there are 22 windows here and 11 there"):
        case_of("tft", generated(2, 40))
