"""Which portfolio is summed on which calendar."""

from __future__ import annotations

import numpy as np

from apps.risk.data.holdings import Holdings
from apps.risk.models.portfolio_calendars import NO_COMMON, divide
from tests.apps.risk.mixed_calendars import panel_of, series


def holdings(**held: str) -> Holdings:
    """Portfolios of the series that the letters of a word name, of equal weights."""
    pairs = [(number, entity) for number, word in enumerate(held.values()) for entity in word]
    weight_H = np.full(len(pairs), 0.5)
    return Holdings(
        tuple(held), np.array([one for one, _ in pairs]), tuple(two for _, two in pairs), weight_H
    )


def table() -> list:
    calendars = {"a": "weekdays", "b": "weekdays", "w": "weekly", "m": "monthly", "e": "every_day"}
    return [series(name, calendar, 100, seed=n) for n, (name, calendar) in enumerate(calendars.items())]


def test_series_of_one_calendar_are_summed_on_it() -> None:
    panel = panel_of(*table()[:2])
    (share,) = divide(panel, None).own
    assert (str(share.calendar), share.holdings, share.panel) == ("weekdays", None, panel)


def test_portfolios_of_several_calendars_are_summed_on_the_coarsest_or_refused() -> None:
    panel = panel_of(*table())
    divided = divide(panel, holdings(days="ab", mixed="aw", weekend="ae", months="abem", none="wm"))
    assert [(str(one.calendar), one.holdings.portfolios) for one in divided.own if one.holdings] == [
        ("weekdays", ("days",))
    ]
    result = {one.holdings.portfolios: str(one.calendar) for one in divided.mixed if one.holdings}
    assert result == {("mixed",): "weekly on Friday", ("weekend",): "weekdays", ("months",): "monthly"}
    assert divided.refused == [(("none",), NO_COMMON)]


def test_equal_weights_of_all_series_that_have_a_common_calendar() -> None:
    tables = table()
    (share,) = divide(panel_of(*tables[:3]), None).mixed
    assert share.holdings is not None
    assert share.holdings.weight_H.tolist() == [1 / 3] * 3
    assert divide(panel_of(*tables), None).refused == [(("equal_weights",), NO_COMMON)]


def test_a_portfolio_of_what_is_not_there_is_reported_where_the_others_are_summed() -> None:
    (share,) = divide(panel_of(*table()[:2]), holdings(gone="z")).own
    assert share.holdings is not None
    assert share.holdings.lacks(share.panel.entities).tolist() == [True]
