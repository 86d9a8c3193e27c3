"""A small loan book and models of its event for tests, fitted once."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.data.asof import view
from apps.risk.data.contracts import check
from apps.risk.data.loan_book import LoanBook, generate_loan_book
from apps.risk.data.outcomes import Origins, event_origins
from apps.risk.data.panel import Panel, build_panel, part
from apps.risk.data.windows import Windows
from apps.risk.models.event_learning import gather
from apps.risk.models.event_network import EventNetwork
from apps.risk.models.event_parts import Past
from apps.risk.models.feed import code_counts, levels_of
from apps.risk.models.riskformer_event import RiskformerEvent, variables_of
from apps.risk.models.sizes import Size

CONTEXT, HORIZON = 6, 3
SMALL = Size(width=16, layers=2, heads=2, kv_heads=1, hidden=16, patch=4, group_every=2)


@functools.cache
def book() -> LoanBook:
    return generate_loan_book(borrowers=200, months=14, horizon=HORIZON, seed=1)


@functools.cache
def whole() -> Panel:
    """All of the book."""
    made = book()
    return build_panel(view(check(made.table, made.columns).accepted, made.columns), made.columns)


@functools.cache
def known(as_of: str = "2015-10-31", clients: int = 40) -> Panel:
    """What was known of the first clients at a date."""
    made, date = book(), parse_as_of(as_of).wall
    accepted = check(made.table, made.columns, date).accepted
    panel = build_panel(view(accepted, made.columns, date), made.columns, date, whole().categories)
    return part(panel, 0, clients)


@functools.cache
def windows() -> Windows:
    return Windows(whole(), CONTEXT, HORIZON)


@functools.cache
def origins() -> Origins:
    return event_origins(whole(), HORIZON)


@functools.cache
def untrained() -> RiskformerEvent:
    """Two networks that learned nothing, yet answer."""
    batch = gather(windows(), origins().where(np.arange(0, len(origins()), 5)))
    torch.manual_seed(3)
    counts = code_counts(whole(), latest=True)
    nets = tuple(EventNetwork(SMALL, counts).eval() for _ in range(2))
    columns = whole().columns
    keep_V = tuple(name != "default" for name in variables_of(columns))
    levels = levels_of(batch, columns, latest=True)
    return RiskformerEvent(Past(CONTEXT, HORIZON), nets, counts, levels, keep_V, 0.9, -1.5)


def described_again(model: Any, folder: Path) -> Any:
    """Save a model, and load it again from its files and its description as JSON gives it back."""
    return type(model).load(folder, json.loads(json.dumps(model.save(folder))))
