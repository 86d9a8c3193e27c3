from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.serving.kills import Tally, run
from benchmarks.serving.running import request_of

pytestmark = pytest.mark.slow


def test_answers_stay_right_while_processes_are_killed() -> None:
    result = run(seconds="8", every="2", clients="3")
    headline = result["headline"]
    assert (headline["wrong"], headline["without an answer"]) == ("0", "0")
    assert int(headline["kills"]) >= 1
    right, total = (int(part.replace(",", "")) for part in headline["right"].split(" of "))
    assert right > 20
    assert right + int(headline["refused"]) == total
    assert set(result["refused"]) <= {"500 model_ended_twice", "503 model_restarting"}


def test_a_wrong_number_is_not_counted_as_right() -> None:
    tally = Tally()
    expected = np.zeros((1, 8), "f4")
    for output in (expected, expected + 1e-3, np.zeros((2, 8), "f4")):
        content = {"outputs": [{"shape": list(output.shape), "data": output.reshape(-1).tolist()}]}
        tally.add(200, json.dumps(content).encode(), None, expected, 0.1)
    tally.add(503, b'{"error": "e", "code": "model_restarting"}', None, expected, 0.1)
    assert (tally.right, tally.wrong, dict(tally.refused)) == (1, 2, {"503 model_restarting": 1})
    assert request_of(expected, binary=False)[1] is None
