"""A request read: what each media type holds, and what an address may."""

from __future__ import annotations

import json

import pytest

from apps.risk.data.columns import Columns
from apps.risk.service.forms import CSV, JSON, ROLES, Options, read_request
from core.serving.service_error import ServiceError

USUAL = Columns(entity="borrower")


def test_a_json_body_holds_everything() -> None:
    body = {
        "table": [],
        "horizon": 3,
        "columns": {"entity": "asset", "targets": "a,b"},
        "portfolios": {"p": {"x": 1}},
    }
    request = read_request(JSON, [], json.dumps(body).encode(), USUAL)
    assert (request.options.horizon, request.table, request.portfolios) == (3, [], {"p": {"x": 1.0}})
    assert (request.columns.entity, request.columns.targets) == ("asset", ("a", "b"))


def test_roles_that_are_not_named_are_those_of_the_training() -> None:
    assert read_request(JSON, [], b'{"table": []}', USUAL).columns is USUAL
    assert read_request(CSV, [["as_of", "2024-01-01"]], b"", USUAL).columns is USUAL


def test_an_address_holds_options_and_roles() -> None:
    query = [["horizon", "3"], ["alert_share", "0.5"], ["entity", "asset"], ["targets", "a,b"]]
    request = read_request(CSV, query, b"", USUAL)
    assert (request.options.horizon, request.options.alert_share, request.table) == (3, 0.5, None)
    assert (request.columns.entity, request.columns.targets) == ("asset", ("a", "b"))
    with pytest.raises(ServiceError, match=r"horizon is .*; it must be a whole number"):
        read_request(CSV, [["horizon", "many"]], b"", USUAL)


def test_no_role_has_the_name_of_an_option() -> None:
    assert set(ROLES) & set(Options.model_fields) == set()
