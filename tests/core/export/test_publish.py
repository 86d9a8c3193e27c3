"""An export of a small network: what is published, what is refused, and what is left of a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.errors import ConfigError, InputError, OutputError
from core.export.formats import chosen
from core.export.manifest import read_manifest
from core.export.ports import Axis
from core.export.publish import Progress, publish
from core.export.report import UNJUDGED, rows_of
from core.export.task import Metric, Task
from tests.core.export.exported import FORMATS as ALL
from tests.core.export.exported import TASK, exported
from tests.core.export.networks import network, samples

LISTS = ["manifest.json", "report.html"]


def test_the_manifest_says_what_was_measured() -> None:
    folder = exported()
    artifacts = read_manifest(folder).artifacts
    assert [one.format for one in artifacts] == list(ALL)
    for one in artifacts:
        assert {case.inputs for case in one.cases} == {"random", "real"}
        assert len(one.cases) == 5
        assert one.error <= one.tolerance
        assert one.ratio == pytest.approx(one.eager_milliseconds / one.milliseconds)
        assert one.bytes == sum((folder / file.path).stat().st_size for file in one.files)
        assert abs(one.metrics["mean"].before - one.metrics["mean"].after) <= 1e-3
        assert one.versions["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_a_frozen_size_is_found_at_another_shape(tmp_path: Path) -> None:
    class Frozen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.view(int(x.shape[0]), -1).cumsum(1)[:, : 16 * 24].sum(1) * float(x.shape[2])

    frozen = network(module=Frozen().eval(), outputs=(network().outputs[0],))
    manifest = publish(
        [frozen],
        Task("nothing", (), lambda networks: {}),
        chosen(["torchscript"]),
        tmp_path / "out",
        app="toy",
        model="a",
    )
    assert not manifest.artifacts
    (absent,) = manifest.absent
    assert absent.status == "refused"
    assert "is allowed" in absent.why
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == LISTS


def test_a_format_that_costs_too_much_of_the_task_is_not_published(tmp_path: Path) -> None:
    task = Task(
        "",
        (Metric("score", "", "higher", 0.005),),
        lambda networks: {"score": 0.8 if not networks else 0.79},
    )
    manifest = publish([network()], task, chosen(["torchscript"]), tmp_path / "out", app="a", model="b")
    assert not manifest.artifacts
    assert manifest.absent[0].why == "score 0.8 → 0.79, and at most 0.005 may be lost"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == LISTS


def test_what_a_format_cannot_serve_is_in_the_table(tmp_path: Path) -> None:
    network_without = network(not_applicable={"torchscript": "it has no pictures"})
    manifest = publish(
        [network_without],
        TASK,
        chosen(["torchscript", "torch_export"]),
        tmp_path / "out",
        app="toy",
        model="a",
    )
    (absent,) = manifest.absent
    assert (absent.format, absent.status, absent.why) == (
        "torchscript",
        "not applicable",
        "it has no pictures",
    )


def test_what_no_format_can_hold_is_in_the_table(tmp_path: Path) -> None:
    manifest = publish(
        [network()],
        TASK,
        chosen(["torchscript"]),
        tmp_path / "out",
        app="toy",
        model="a",
        without={"trees": "they are no network"},
    )
    assert [(one.network, one.rows) for one in manifest.artifacts] == [("blur", "B")]
    (absent,) = manifest.absent
    assert (absent.network, absent.format, absent.status, absent.why) == (
        "trees",
        "torchscript",
        "not applicable",
        "they are no network",
    )


def test_a_relative_allowance_is_of_the_value_before(tmp_path: Path) -> None:
    for loss, published in ((2.01, 1), (2.03, 0)):
        task = Task(
            "",
            (Metric("loss", "", "lower", 0.01, relative=True),),
            lambda networks, loss=loss: {"loss": loss if networks else 2.0},  # type: ignore[misc]
        )
        manifest = publish([network()], task, chosen(["torchscript"]), tmp_path / "out", app="a", model="b")
        assert len(manifest.artifacts) == published
    assert manifest.absent[0].why == "loss 2 → 2.03, and at most 0.02 may be lost"


def test_too_few_calibration_samples_are_refused(tmp_path: Path) -> None:
    few = network(calibration=lambda: samples(5))
    with pytest.raises(InputError, match="at least 32 calibration samples of blur, and 5 are given"):
        publish([few], TASK, chosen(["openvino_int8"]), tmp_path / "out", app="toy", model="a")
    assert not list(tmp_path.iterdir())


def test_an_earlier_export_is_replaced_and_other_files_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish([network()], TASK, chosen(["torchscript"]), out, app="toy", model="a")
    publish([network()], TASK, chosen(["torch_export"]), out, app="toy", model="a")
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        "blur.pt2",
        *LISTS,
    ]
    own = tmp_path / "own"
    own.mkdir()
    (own / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds other files"):
        publish([network()], TASK, chosen(["torchscript"]), own, app="toy", model="a")
    assert [path.name for path in own.iterdir()] == ["letter.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "own"]


def test_a_missing_backend_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.export.formats.find_spec", lambda package: None)
    with pytest.raises(
        ConfigError, match=r"onnx needs the package onnxruntime: pip install 'triptych\[onnx\]'"
    ):
        publish([network()], TASK, chosen(["onnx"]), tmp_path / "out", app="toy", model="a")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.export.to_torchscript.write", full)
    with pytest.raises(OutputError, match="is full"):
        publish([network()], TASK, chosen(["torchscript"]), tmp_path / "out", app="a", model="b")
    assert not list(tmp_path.iterdir())


def test_axes_can_be_narrowed_for_a_format(tmp_path: Path) -> None:
    narrowed = ((Axis("B", 1, 8), Axis("H", 8, 16, 8), Axis("W", 8, 16, 8)), ({"B": 2, "H": 16, "W": 16},))
    limited = network(narrowed={"torchscript": narrowed})
    steps: list[Progress] = []
    manifest = publish(
        [limited],
        TASK,
        chosen(["torchscript"]),
        tmp_path / "out",
        app="a",
        model="b",
        on_step=steps.append,
    )
    assert steps[-1] == Progress("all networks", "torchscript", UNJUDGED)
    assert not manifest.artifacts[0].metrics
    assert rows_of(manifest)[0][-1] == UNJUDGED
    assert [(axis.name, axis.most) for axis in manifest.artifacts[0].axes] == [("B", 8), ("H", 16), ("W", 16)]
