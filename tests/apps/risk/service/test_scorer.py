"""The model in this process: what it says of itself, its defaults, and options that do not fit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from apps.risk.service.scorer import Scorer
from core.serving.messages import Message
from core.serving.service_error import ServiceError
from tests.apps.risk.score_inputs import model_folder, returns

ROLES = {"entity": "asset", "time": "day", "targets": "gain"}


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder = model_folder(tmp_path_factory.mktemp("model"))
    defaults = {"horizon": 3, "paths": 100, "seed": 0}
    return Scorer({"folder": str(folder)}, defaults, {"rows": 1000, "cells": 5000})


def ask(scorer: Scorer, **options: Any) -> dict[str, Any]:
    table = json.loads(returns().to_json(orient="records"))
    body = json.dumps({"table": table, "columns": ROLES, **options}).encode()
    message = Message(
        {"media_type": "application/json", "query": []}, {"body": np.frombuffer(body, np.uint8)}
    )
    content: dict[str, Any] = json.loads(scorer(message).arrays["answer"].tobytes())
    return content


def test_it_says_what_it_is(scorer: Scorer) -> None:
    assert scorer.about["targets"] == {"name": "historical_simulation", "trained_until": None}
    assert scorer.about["event"] is None
    assert scorer.about["columns"]["entity"] == "entity"
    assert len(scorer.about["digest"]) == 64


def test_what_a_request_leaves_out_is_as_the_service_was_started(scorer: Scorer) -> None:
    assert {row["step"] for row in ask(scorer)["scores"]} == {1, 2, 3}
    assert {row["step"] for row in ask(scorer, horizon=1)["scores"]} == {1}


def test_an_option_out_of_range_keeps_the_code_of_the_command(scorer: Scorer) -> None:
    with pytest.raises(ServiceError, match=r"model\.horizon=0 is out of range") as caught:
        ask(scorer, horizon=0)
    assert (caught.value.status, caught.value.code) == (400, "config_range")
