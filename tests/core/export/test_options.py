"""The options that an export and its runtimes have in every app."""

from __future__ import annotations

import dataclasses

import pytest

from core.errors import ConfigError
from core.export.formats import FORMATS, RUNTIMES
from core.export.options import artifacts_option, check_device, formats_option, runtime_option


@dataclasses.dataclass
class Options:
    formats: list[str] = formats_option(["onnx"], also="; pipeline is for diffusers")
    artifacts: str | None = artifacts_option(["score"])
    runtime: str = runtime_option(["score"])


def test_each_option_knows_its_stages() -> None:
    fields = {field.name: field.metadata for field in dataclasses.fields(Options)}
    assert Options().formats == ["onnx"]
    assert fields["formats"]["stages"] == ("export",)
    assert fields["formats"]["about"].endswith(f"{list(FORMATS)[-1]}; pipeline is for diffusers")
    assert fields["artifacts"]["stages"] == fields["runtime"]["stages"] == ("score",)
    assert fields["artifacts"]["path"]
    assert fields["runtime"]["choices"] == ("auto", *RUNTIMES)
    assert fields["runtime"]["only_with"] == "artifacts"


def test_artifacts_do_not_run_on_a_gpu() -> None:
    check_device(None, "cuda", "model.device")
    check_device("exported", "auto", "model.device")
    with pytest.raises(
        ConfigError, match=r"artifacts= runs on the CPU, and model\.device=cuda asks for a GPU"
    ):
        check_device("exported", "cuda", "model.device")
