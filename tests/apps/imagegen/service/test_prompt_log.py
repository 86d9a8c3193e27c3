from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.service.prompt_log import log_prompts
from core.serving.service_error import ServiceError


def test_each_request_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    log_prompts(path, "a1", [Recipe("red apple", seed=1), Recipe("red apple", seed=2)])
    log_prompts(path, "a2", [Recipe("猫")])
    first, second = map(json.loads, path.read_text("ascii").splitlines())
    assert (first["work"], [one["seed"] for one in first["recipes"]]) == ("a1", [1, 2])
    assert (second["work"], second["recipes"][0]["prompt"]) == ("a2", "猫")
    assert second["time"] >= first["time"] > 0


def test_a_log_that_cannot_be_written_is_a_507(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="free its disk, or start the service without") as caught:
        log_prompts(tmp_path, "a1", [Recipe("red apple")])
    assert (caught.value.status, caught.value.code) == (507, "prompt_log_unwritable")
    assert str(tmp_path) not in caught.value.sentence
