"""An artifact is called like its network, and refuses what it was not made for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import ConfigError, InputError
from core.export.manifest import NAME
from core.export.predictor import Predictor, open_predictors
from tests.core.export.exported import exported
from tests.core.export.networks import network

X = torch.rand(3, 1, 24, 8) * 2 - 1


def opened(runtime: str, folder: Path | None = None, **options: Any) -> dict[str, Predictor]:
    return dict(open_predictors(folder or exported(), runtime, "toy", "abc", ["blur"], **options))


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a copy of the export with another manifest."""
    folder = tmp_path / "copy"
    shutil.copytree(exported(), folder)
    content = json.loads((folder / NAME).read_text())
    change(content)
    (folder / NAME).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", ["torch_export", "torchscript", "onnx", "openvino", "triton"])
def test_each_format_stands_in_for_the_network(name: str) -> None:
    with torch.no_grad():
        torch.testing.assert_close(opened(name)["blur"](X), network().module(X), atol=1e-5, rtol=1e-5)


def test_results_are_not_overwritten_by_the_next_call() -> None:
    run = opened("openvino")["blur"]
    first = run(X)
    assert isinstance(first, torch.Tensor)
    kept = first.clone()
    run(-X)
    assert torch.equal(first, kept)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ((X, X), "blur takes 1 inputs (x), not 2"),
        ((X.double(),), "blur: x is of type float64, not float32"),
        ((X[0],), "blur: x has 3 dimensions, not 4 (B, 1, H, W)"),
        ((X[:, :, :20],), "blur: x is 20 along H, which takes 8 to 64 in steps of 8"),
        ((X.repeat(3, 1, 1, 1),), "blur: x is 9 along B, which takes 1 to 8"),
        ((X.repeat(1, 2, 1, 1),), "blur: x is 2 along dimension 1, which takes 1"),
        ((X * torch.nan,), "blur: x holds values that are not finite"),
        ((X / 0,), "blur: x holds values that are not finite"),
        ((X * 4,), "outside -1 to 1"),
    ],
)
def test_other_inputs_are_refused(inputs: tuple[torch.Tensor, ...], sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        opened("torchscript")["blur"](*inputs)
    assert sentence in raised.value.sentence


def test_what_pytorch_is_left_with_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    networks = open_predictors(exported(), "openvino", "toy", "abc", ["blur", "sharpen", "turn"])
    assert list(networks) == ["blur"]
    line = f"note: PyTorch runs sharpen, turn: {exported()} holds nothing of it in openvino\n"
    assert capfd.readouterr().err == line


def test_auto_takes_the_fastest_format(tmp_path: Path) -> None:
    def fast(name: str) -> Callable[[dict[str, Any]], None]:
        def change(content: dict[str, Any]) -> None:
            for one in content["artifacts"]:
                one["milliseconds"] = 1.0 if one["format"] == name else 5.0
                one["eager_milliseconds"] = 2.0

        return change

    folder = changed(tmp_path, fast("onnx"))
    assert opened("auto", folder)["blur"].artifact.format == "onnx"
    # what no app can run is not taken, however fast
    assert opened("auto", changed(tmp_path / "x", fast("triton"))) == {}


def test_rows_that_depend_on_their_batch_can_be_ruled_out(tmp_path: Path) -> None:
    def depend(content: dict[str, Any]) -> None:
        for one in content["artifacts"]:
            one["rows_independent"] = one["format"] != "onnx"

    folder = changed(tmp_path, depend)
    assert opened("onnx", folder)
    with pytest.raises(
        ConfigError, match=r"runtime=onnx of blur is not in .* which holds torch_export, torchscript"
    ):
        opened("onnx", folder, rows_independent=True)


def test_networks_of_another_model_are_refused() -> None:
    with pytest.raises(InputError, match="holds the networks blur, not sharpen: it is of another model"):
        open_predictors(exported(), "openvino", "toy", "xyz", ["sharpen"])


def test_what_is_not_what_was_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"was exported from other weights \(abc…\) than those in use \(xyz…\)"
    ):
        open_predictors(exported(), "onnx", "toy", "xyz", ["blur"])
    folder = changed(tmp_path, lambda content: None)
    with (folder / "onnx" / "blur.onnx").open("ab") as stream:
        stream.write(b"!")
    with pytest.raises(InputError, match=r"blur\.onnx is not the file that was exported"):
        opened("onnx", folder)
    (folder / "onnx" / "blur.onnx").unlink()
    with pytest.raises(InputError, match=r"names the file onnx/blur\.onnx, which is not there"):
        opened("onnx", folder)


def test_code_of_another_processor_or_pytorch_is_refused(tmp_path: Path) -> None:
    def compiled(content: dict[str, Any]) -> None:
        content["artifacts"][0] |= {"format": "aotinductor", "instructions": ["avx1024"]}

    with pytest.raises(
        InputError, match=r"aotinductor in .* was compiled for avx1024, which this processor lacks"
    ):
        opened("aotinductor", changed(tmp_path, compiled))

    def older(content: dict[str, Any]) -> None:
        content["artifacts"][0] |= {"format": "aotinductor", "versions": {"torch": "1.0"}}

    with pytest.raises(InputError, match=r"was made with torch 1\.0; it runs with that version"):
        opened("aotinductor", changed(tmp_path / "x", older))
