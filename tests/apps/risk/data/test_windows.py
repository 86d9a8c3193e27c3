"""Windows against their plain twin; sampling that depends on seed and number alone; resume, ranks, workers."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from apps.risk.data.panel import Panel, take
from apps.risk.data.windows import Batch, Windows, WindowStream, draw, stretch
from tests.apps.risk.data.panels import frame, panel_of, ragged
from tests.apps.risk.data.plain_windows import in_order, plain_origins, plain_window


def long_panel(lengths: tuple[int, ...], as_of: str | None = None) -> Panel:
    rows = [
        (name, day, 10.0 * number + day, None if day % 3 == 0 else float(day), day / 10, name, number)
        for number, (name, length) in enumerate(zip("abcdefgh", lengths, strict=False))
        for day in range(1, length + 1)
    ]
    return panel_of(frame(*rows), as_of=as_of)


def compare(panel: Panel, batch: Batch, context: int, horizon: int) -> None:
    for index, (entity, origin) in enumerate(
        zip(batch.entity_B.tolist(), batch.origin_B.tolist(), strict=True)
    ):
        wanted = plain_window(panel, entity, origin, context, horizon)
        assert set(wanted) == set(Batch._fields)
        for name, value in wanted.items():
            np.testing.assert_array_equal(getattr(batch, name)[index].numpy(), value, err_msg=name)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    context=st.integers(1, 6),
    horizon=st.integers(1, 4),
    data=st.data(),
)
def test_windows_agree_with_the_plain_twin(lengths: list[int], context: int, horizon: int, data: Any) -> None:
    shortest = data.draw(st.integers(0, context))
    as_of = data.draw(st.sampled_from([None, "2024-01-04"]))
    panel = long_panel(tuple(lengths), as_of)
    windows = Windows(panel, context, horizon, shortest=shortest)
    origins = plain_origins(panel, horizon, shortest)
    assert windows.origins(np.arange(len(windows))).tolist() == origins
    assert len(windows) == len(origins)
    batches = list(in_order(windows, 3))
    assert [origin for batch in batches for origin in batch.origin_B.tolist()] == origins
    for batch in batches:
        compare(panel, batch, context, horizon)
    latest = windows.latest()
    assert len(latest.entity_B) == len(panel.entities)
    compare(panel, latest, context, horizon)
    if as_of is None:
        assert not latest.label_known_BHT.any()


def test_a_short_series_is_padded_on_the_left_with_nothing() -> None:
    batch = Windows(panel_of(ragged()), context=4, horizon=1).latest()
    assert batch.length_B.tolist() == [4, 2, 1, 2]
    assert batch.past_BCF[1, :, 0].tolist() == [0.0, 0.0, -1.0, -2.0]
    assert batch.past_known_BCF[1, :, 0].tolist() == [False, False, True, True]
    assert batch.past_known_BCF[3].sum() == 0
    assert batch.past_BCF[3].abs().sum() == 0


def test_ahead_of_the_date_only_what_is_known_in_advance_is_there() -> None:
    batch = Windows(panel_of(ragged(), as_of="2024-01-03"), context=3, horizon=3).latest()
    assert batch.past_BCF[0, :, 0].tolist() == [1.0, 2.0, 0.0]
    torch.testing.assert_close(batch.ahead_BHK[0, :, 0], torch.tensor([0.4, 0.0, 0.0], dtype=torch.float64))
    assert batch.ahead_known_BHK[0, :, 0].tolist() == [True, False, False]
    assert not batch.label_known_BHT.any()


def test_windows_do_not_look_beyond_the_as_of_date() -> None:
    whole, early = long_panel((9, 9)), long_panel((9, 9), as_of="2024-01-06")
    first, second = Windows(whole, 3, 2), Windows(early, 3, 2)
    assert (len(first), len(second)) == (14, 8)
    assert second.origins(np.arange(8)).max() + 2 <= 9 + 6


def test_a_panel_of_nobody_has_no_window() -> None:
    nobody = take(long_panel((3, 4)), np.array([False, False]))
    windows = Windows(nobody, 3, 2)
    assert len(windows) == 0
    assert list(in_order(windows, 4)) == []
    assert windows.latest().past_BCF.shape == (0, 3, 3)


@pytest.mark.parametrize(("context", "horizon", "shortest"), [(0, 1, 0), (1, 0, 1), (2, 1, 3), (2, 1, -1)])
def test_impossible_lengths_are_refused(context: int, horizon: int, shortest: int) -> None:
    with pytest.raises(ValueError, match=f"got {context}, {horizon}, {shortest}"):
        Windows(long_panel((3,)), context, horizon, shortest=shortest)


@pytest.mark.parametrize("length", [1, 3, 7, 8])
def test_stretches_agree_with_rows_taken_one_by_one(length: int) -> None:
    value_RF = torch.arange(14.0).view(7, 2)
    first_B = torch.tensor([-3, 0, 2, 4, 6, -1])
    out = stretch(value_RF, first_B, length)
    for index, first in enumerate(first_B.tolist()):
        for step in range(length):
            row = first + step
            if 0 <= row < 7:
                assert torch.equal(out[index, step], value_RF[row]), (first, step)


def test_draws_depend_on_seed_and_number_alone() -> None:
    whole = draw(5, 0, 1000, 77)
    pieces = [draw(5, first, 10, 77) for first in range(0, 1000, 10)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(draw(5, 123, 7, 77), whole[123:130])
    assert not np.array_equal(draw(6, 0, 1000, 77), whole)
    assert (whole.min(), whole.max()) == (0, 76)


def test_draws_are_evenly_likely() -> None:
    # chi-square with 9 degrees of freedom: 99.9 % lies below 27.9 (any table)
    counts = np.bincount(draw(1, 0, 100_000, 10), minlength=10)
    assert ((counts - 10_000.0) ** 2 / 10_000).sum() < 27.9
    assert set(draw(1, 0, 100, 1).tolist()) == {0}


def first_values(stream: Any, steps: int) -> list[list[int]]:
    return [batch.origin_B.tolist() for batch in itertools.islice(stream, steps)]


def test_a_stream_can_go_on_anywhere() -> None:
    windows = Windows(long_panel((9, 5, 7)), 3, 2)
    whole = first_values(WindowStream(windows, 4, seed=3), 10)
    assert first_values(WindowStream(windows, 4, seed=3, first_step=6), 4) == whole[6:]
    assert first_values(WindowStream(windows, 4, seed=4), 10) != whole
    assert {origin for batch in whole for origin in batch} <= set(
        windows.origins(np.arange(len(windows))).tolist()
    )


def test_ranks_share_one_sequence() -> None:
    windows = Windows(long_panel((9, 5, 7)), 3, 2)
    whole = first_values(WindowStream(windows, 8, seed=3), 3)
    ranks = [first_values(WindowStream(windows, 4, seed=3, rank=rank, world=2), 3) for rank in (0, 1)]
    assert [first + second for first, second in zip(*ranks, strict=True)] == whole


def test_workers_change_nothing() -> None:
    windows = Windows(long_panel((9, 5, 7)), 3, 2)
    plain = first_values(WindowStream(windows, 4, seed=3, first_step=1), 5)
    loader = DataLoader(WindowStream(windows, 4, seed=3, first_step=1), batch_size=None, num_workers=2)
    assert first_values(loader, 5) == plain


def test_a_stream_can_convert_its_batches() -> None:
    windows = Windows(long_panel((9,)), 3, 2)
    stream = WindowStream(windows, 4, seed=3, convert=lambda batch: batch.past_BCF.sum())
    assert next(iter(stream)).shape == ()


def test_a_stream_of_no_window_is_refused() -> None:
    with pytest.raises(ValueError, match="no window to draw: all series are shorter"):
        WindowStream(Windows(long_panel((3,)), 3, 3), 4, seed=0)


def test_the_gather_is_far_faster_than_its_twin() -> None:
    panel = long_panel((30,) * 8)
    windows = Windows(panel, 8, 2)
    number_B = draw(0, 0, 256, len(windows))
    begin = time.process_time()
    for _ in range(20):
        batch = windows.gather(windows.origins(number_B))
    fast = (time.process_time() - begin) / 20
    begin = time.process_time()
    compare(panel, batch, 8, 2)
    assert (time.process_time() - begin) > 10 * fast
