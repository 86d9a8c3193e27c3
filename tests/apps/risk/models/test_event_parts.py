"""Windows end at the as-of date, reasons are the largest ones, files that are not whole are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from apps.risk.data.columns import Columns
from apps.risk.data.windows import Batch
from apps.risk.models.event_parts import (
    OfLatest,
    Past,
    blank,
    largest,
    past_of,
    read_tensors,
    write_tensors,
)
from apps.risk.models.forecast import Reason
from core.errors import InputError
from tests.apps.risk.data.panels import frame, panel_of


def test_the_latest_window_keeps_the_calendar() -> None:
    panel = panel_of(
        frame(
            ("a", 1, 1.0, 1.0, None, "x", 1),
            ("a", 4, 4.0, 1.0, None, "x", 1),
            ("b", 2, 9.0, 1.0, None, "x", 1),
        )
    )
    batch = Past(3, 2).latest(panel)
    # the calendar has days 1, 2 and 4: a has a gap on day 2
    assert batch.past_BCF[0, :, 0].tolist() == [1.0, 0.0, 4.0]
    assert batch.past_known_BCF[0, :, 0].tolist() == [True, False, True]
    assert batch.past_known_BCF[1, :, 0].tolist() == [False, False, True]
    assert past_of({"context": 3, "horizon": 2, "other": 1}) == Past(3, 2)


class Latest(OfLatest):
    """The probability is the latest target."""

    def probability(self, batch: Batch, columns: Columns) -> np.ndarray:
        return batch.past_BCF[:, -1, columns.features.index("target")].numpy()


def test_each_entity_is_asked_of_its_latest_window_and_an_unknown_one_has_its_reason() -> None:
    rows = [("a", 1, 0.9, None, None, None, None), ("a", 2, 0.25, None, None, None, None)]
    panel = panel_of(frame(*rows, ("b", 2, None, None, None, None, None)))
    result = Latest(Past(2, 1)).forecast_event(panel)
    assert result.pd_N.tolist() == [0.25, 0.0]
    assert result.reason_N == ("", "all_missing")


def test_one_known_value_of_any_kind_is_something() -> None:
    nothing = (None, None, None, None, None)
    ways = [
        (1.0, *nothing[1:]),
        (None, None, 0.1, None, None),
        (None, None, None, "x", None),
        (*nothing[:4], 30),
    ]
    rows = [(f"e{index}", 1, *way) for index, way in enumerate([nothing, *ways])]
    result = blank(Past(2, 1).latest(panel_of(frame(*rows))))
    assert result == ("all_missing", "", "", "", "")


def test_the_largest_reasons_come_first_and_only_what_raises_counts() -> None:
    above = np.array([[0.1, -2.0, 0.5, 0.1], [-1.0, -0.5, 0.0, -0.1]])
    names = ("a", "b", "c", "d")
    assert largest(names, above) == ((Reason("c", 0.5), Reason("a", 0.1), Reason("d", 0.1)), ())
    assert largest(names, above, most=1)[0] == (Reason("c", 0.5),)
    assert largest(names, np.zeros((0, 4))) == ()


def test_tensors_are_read_as_written_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.safetensors"
    given = {"x": torch.tensor([1.0, torch.inf], dtype=torch.float64), "e": torch.zeros(0)}
    write_tensors(path, given)
    result = read_tensors(path)
    assert all(torch.equal(result[name], given[name]) for name in given)
    path.write_bytes(path.read_bytes()[:-3])
    for broken in (path, tmp_path / "absent.safetensors"):
        with pytest.raises(
            InputError, match=f"{broken.name} is missing, damaged or of another model"
        ) as caught:
            read_tensors(broken)
        assert caught.value.code == "weights_damaged"
