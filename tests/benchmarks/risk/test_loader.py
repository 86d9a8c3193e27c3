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
    data_set,
    generated,
    interval,
    loaders,
    prepare,
    run,
    seconds,
    trained,
)
from core.errors import InputError
from core.silence import silenced

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of pandas, sklearn and lightning


@pytest.fixture(scope="module")
def sides() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = generated(6, 40)
        return prepare(table), data_set(table)


def keyed(x: dict[str, torch.Tensor], place: int) -> tuple[int, int]:
    return int(x["groups"][place, 0]), int(x["decoder_time_idx"][place, 0])


def test_both_loaders_hand_over_the_same_windows(sides: tuple[Any, Any]) -> None:
    windows, dataset = sides
    assert len(windows) == len(dataset) == 6 * (40 - 24 - 6 + 1)
    make = loaders(windows, dataset, 33)
    theirs = {}
    for x, (y, _) in make["theirs"]():
        theirs.update({keyed(x, i): (x["encoder_cont"][i], x["encoder_cat"][i], y[i]) for i in range(33)})
    assert len(theirs) == 66
    x, (y, _) = next(iter(make["ours"]()))
    assert len(x["groups"]) == 33
    for i in range(33):
        cont, code, answer = theirs[keyed(x, i)]
        torch.testing.assert_close(x["encoder_cont"][i], cont, rtol=1e-4, atol=1e-4)
        assert torch.equal(x["encoder_cat"][i], code)
        torch.testing.assert_close(y[i], answer)


def test_a_record_tells_what_was_asked(sides: tuple[Any, Any]) -> None:
    before = torch.get_num_threads()
    record = run(rows="280", series="7", rounds="2", samples="16", batches="8")
    assert torch.get_num_threads() == before
    assert (record["rows"], record["series"], record["windows"]) == (280, 7, 77)
    assert list(record["training"]) == ["8"]
    figures = record["training"]["8"]
    for name in ("loader_ratio", "training_ratio", "training_ratio_wall", "ceiling_ratio", "model_share"):
        assert 0 < figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"], name
    assert figures["loader_ratio"]["low"] > 1  # the gather is many times faster: so even on a busy machine
    assert record["memory"]["table_bytes"] == pytest.approx(280 * (4 * 8 + 8 + 1 + 1), rel=0.4)
    assert record["contract_check_seconds"]["value"] > 0
    assert 0 < record["memory"]["kept_ratio"] <= record["memory"]["peak_ratio"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert set(record["headline"]) == {"ready", "windows", "training"}


def test_the_first_step_is_not_timed(sides: tuple[Any, Any]) -> None:
    windows, dataset = sides
    batch = next(iter(loaders(windows, dataset, 4)["ours"]()))

    def slow_at_first() -> Any:
        time.sleep(1.0)
        yield from itertools.repeat(batch)

    class Slow:
        def __iter__(self) -> Any:
            return slow_at_first()

    with silenced():
        clock = trained(dataset, Slow(), 2)
    assert isinstance(clock, Clock)
    assert 0 < clock.cpu <= clock.wall + 0.05
    assert clock.wall < 1.0


def test_cpu_seconds_do_not_count_waiting() -> None:
    assert seconds(lambda: time.sleep(0.2)) < 0.1
    assert seconds(lambda: np.linalg.svd(np.ones((150, 150)))) > 0.0


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
    monkeypatch.setattr(loader, "data_set", lambda table: whole(table.iloc[:40]))
    with pytest.raises(ValueError, match="there are 22 windows here and 11 there"):
        run(rows="80", series="2", rounds="1", samples="8", batches="4")
