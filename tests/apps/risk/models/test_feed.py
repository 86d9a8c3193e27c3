"""Each value of a window stands in the row where it belongs, groups are those of windows, levels are normal scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from apps.risk.data.columns import Columns
from apps.risk.data.windows import Batch, Windows
from apps.risk.models.feed import KNOTS, Levels, code_counts, counts_of, latest_of, learn_levels, rows_of
from apps.risk.models.sizes import Size
from apps.risk.models.transformer import Kind, RiskFormer
from tests.apps.risk.data.panels import COLUMNS, frame, panel_of, ragged

C, H = 4, 2
VARIABLES = ["target", "seen", "due", "age"]


def batch_of_ragged() -> Batch:
    return Windows(panel_of(ragged(), as_of="2024-01-04"), C, H).latest()


def test_each_variable_is_a_row_with_its_values() -> None:
    batch = batch_of_ragged()
    rows, index_BT = rows_of(batch, COLUMNS)
    V = len(VARIABLES)
    assert rows.past_BC.shape == (3 * V, C)
    assert rows.kind_B.tolist() == [Kind.TARGET, Kind.OBSERVED, Kind.KNOWN, Kind.STATIC] * 3
    assert index_BT.tolist() == [[0], [4], [8]]
    # c has no row yet
    # entity a as of day 4: target 1, 2, missing, 4; seen 10, 20, 30, missing; due on to day 4 and missing ahead
    assert rows.past_BC[:4].tolist() == [
        [1.0, 2.0, 0.0, 4.0],
        [10.0, 20.0, 30.0, 0.0],
        pytest.approx([0.1, 0.2, 0.3, 0.4]),
        [0.0, 0.0, 0.0, 31.0],
    ]
    assert rows.known_BC[:4].tolist() == [
        [True, True, False, True],
        [True, True, True, False],
        [True] * 4,
        [False, False, False, True],
    ]
    assert not rows.known_BH[:4].any()
    # entity b knows on day 4 what is due on its next one, day 5; its age is known; d has none
    assert rows.known_BH[4:8].tolist() == [[False] * 2, [False] * 2, [True, False], [False] * 2]
    assert rows.ahead_BH[6, 0].item() == pytest.approx(0.5)
    assert not rows.known_BC[11].any()


def test_codes_are_the_statics_of_the_window_then_the_variable() -> None:
    panel = panel_of(ragged(), as_of="2024-01-04")
    rows, _ = rows_of(Windows(panel, C, H).latest(), COLUMNS)
    assert rows.code_BS[:, 1].tolist() == [1, 2, 3, 4] * 3
    assert rows.code_BS[:, 0].tolist() == np.repeat(panel.code_NS[:, 0], 4).tolist()
    assert code_counts(panel) == (4, 5)
    assert code_counts(panel, latest=True) == (4, 7)
    assert counts_of(COLUMNS, {"kind": ("x", "y")}) == (3, 5)


def test_groups_are_windows_or_what_is_related() -> None:
    batch = batch_of_ragged()
    rows, _ = rows_of(batch, COLUMNS)
    assert rows.group_B is not None
    assert rows.group_B.tolist() == np.repeat([0, 1, 2], 4).tolist()
    merged, _ = rows_of(batch, COLUMNS, torch.tensor([7, 3, 7]))
    assert merged.group_B is not None
    assert merged.group_B.tolist() == np.repeat([1, 0, 1], 4).tolist()


def test_targets_alone_have_no_groups() -> None:
    columns = Columns()
    panel = panel_of(ragged()[["entity", "time", "target"]], columns)
    batch = Windows(panel, C, H).latest()
    rows, index_BT = rows_of(batch, columns)
    assert rows.group_B is None
    assert torch.equal(rows.past_BC, batch.past_BCF[:, :, 0])
    assert index_BT.tolist() == [[0], [1], [2], [3]]
    related, _ = rows_of(batch, columns, torch.tensor([0, 0, 1, 1]))
    assert related.group_B is not None
    assert related.group_B.tolist() == [0, 0, 1, 1]


def test_the_latest_value_has_a_row_of_its_own() -> None:
    rows, _ = rows_of(batch_of_ragged(), COLUMNS, latest=True)
    V = len(VARIABLES) + 2
    assert rows.kind_B[:V].tolist() == [0, 1, 2, 3, 3, 3]
    assert rows.past_BC[4, -1].item() == 4.0
    assert rows.past_BC[5, -1].item() == 30.0  # of the day before: the last one is missing
    assert rows.known_BC[4:6].sum(dim=1).tolist() == [1, 1]
    assert not rows.known_BC[2 * V + 4 : 2 * V + 6].any()  # of d nothing is known


def test_latest_of_takes_the_last_that_is_known() -> None:
    value = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])
    known = torch.tensor([[[True, True, False], [False, False, False], [True, True, True]]])
    last, is_known = latest_of(value, known)
    assert last.tolist() == [[2.0, 0.0, 9.0]]
    assert is_known.tolist() == [[True, False, True]]


def many(entities: int = 200) -> Windows:
    days = [
        (f"e{e:03d}", day, e + 0.001 * e * (day % 2), 5.0, 0.0, "x", e % 2)
        for e in range(entities)
        for day in (1, 2)
    ]
    return Windows(panel_of(frame(*days)), 2, 1, shortest=1)


def test_levels_are_normal_scores_of_size_and_variability() -> None:
    windows = many()
    levels = learn_levels(windows)
    assert levels.knot_2VK.shape == (2, 4, KNOTS)
    batch = windows.latest()
    rows, _ = rows_of(batch, COLUMNS, levels=levels)
    level_BV2 = rows.level_B2.view(200, 4, 2)
    share = (np.arange(200) + 0.5) / 200
    # the middle 90 % of sizes follow the normal law's quantiles
    inside = slice(10, 190)
    assert np.abs(level_BV2[inside, 0, 0].numpy() - ndtri(share)[inside]).max() < 0.15
    assert (level_BV2[:, 0, 0].diff() >= 0).all()
    assert (level_BV2[:, 1] == 0).all()  # a column that never changes tells nothing
    ages = level_BV2[:, 3, 0]  # 0 or 1, half of them each: the quartiles' scores, both sides of the middle
    assert ages[0].item() == pytest.approx(float(ndtri(0.25)), abs=0.05)
    assert ages[1].item() == pytest.approx(float(ndtri(0.75)), abs=0.05)


def test_beyond_what_was_seen_and_nothing_known() -> None:
    levels = Levels(torch.tensor([[[1.0, 2.0, 3.0]]] * 2), torch.tensor([[[-1.0, 0.0, 1.0]]] * 2))
    level = levels.level_BV2(torch.tensor([[-9.0], [1.5], [1e18]]), torch.tensor([[2.0], [2.5], [3.0]]))
    assert level.tolist() == [[[-1.0, 0.0]], [[-0.5, 0.5]], [[1.0, 1.0]]]
    windows = many()
    rows, _ = rows_of(batch_of_ragged(), COLUMNS, levels=learn_levels(windows))
    assert (rows.level_B2.view(3, 4, 2)[2] == 0).all()  # d has no value at all
    assert torch.isfinite(rows.level_B2).all()


def test_a_network_takes_the_rows_and_hears_each_of_them() -> None:
    torch.manual_seed(0)
    panel = panel_of(ragged(), as_of="2024-01-04")
    size = Size(width=16, layers=2, heads=2, kv_heads=1, hidden=16, patch=4, group_every=2)
    net = RiskFormer(size, code_counts(panel)).eval()
    levels = learn_levels(many())
    with torch.inference_mode():
        rows, index_BT = rows_of(Windows(panel, C, H).latest(), COLUMNS, levels=levels)
        result = net(rows)
        moved = net(rows._replace(level_B2=rows.level_B2 + torch.tensor([[1.0, 0.0]] + [[0.0, 0.0]] * 11)))
    assert result.event_G.shape == (3,)
    assert result.z_BHQ[index_BT[:, 0]].shape == (3, H, 21)
    assert (result.event_G != moved.event_G).tolist() == [True, False, False]
