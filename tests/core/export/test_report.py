"""The table of an export, on the terminal, in the record and on the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import ExitCode
from core.export.manifest import NOT_APPLICABLE, REFUSED, Absent, MetricRecord, read_manifest
from core.export.report import COLUMNS, PAGE, finish, lines_of, page_of, rows_of
from core.runs.folder import Run
from tests.core.export.exported import FORMATS, exported

REFUSAL = Absent("blur", "executorch", REFUSED, "error 1e-1, and at most 0.0001 is allowed")
OTHER = Absent("blur", "openvino_bf16", NOT_APPLICABLE, "no bfloat16 here")


def test_every_network_and_format_has_a_row() -> None:
    manifest = replace(read_manifest(exported()), absent=(REFUSAL, OTHER))
    rows = rows_of(manifest)
    assert [row[1] for row in rows] == [*FORMATS, "executorch", "openvino_bf16"]
    assert rows[-1][-1] == "not applicable: no bfloat16 here"
    first = dict(zip(COLUMNS, rows[0], strict=True))
    assert first["rows alone"] == ("yes" if manifest.artifacts[0].rows_independent else "no")
    assert first["task"].startswith("mean 0.")
    assert first["times as fast"] == f"{manifest.artifacts[0].ratio:.2f}"


def test_a_metric_that_cannot_fall_is_no_proof() -> None:
    manifest = read_manifest(exported())
    empty = {"found": MetricRecord(before=0.0, after=0.0, allowed=0.1, better="higher")}
    no_loss = {"loss": MetricRecord(before=0.0, after=0.0, allowed=0.1, better="lower")}
    first, second = rows_of(
        replace(
            manifest, artifacts=tuple(replace(manifest.artifacts[0], metrics=m) for m in (empty, no_loss))
        )
    )
    assert first[-1] == "found 0 → 0: it cannot fall, and proves nothing"
    assert second[-1] == "loss 0 → 0"


def test_lines_are_set_below_each_other() -> None:
    head, *lines = lines_of(read_manifest(exported()))
    assert head.split()[:2] == ["network", "format"]
    end = head.index("error") + len("error")
    assert {line[end - 1] for line in lines} <= set("0123456789")


def test_the_page_shows_the_table() -> None:
    text = (exported() / PAGE).read_text(encoding="utf-8")
    assert text == page_of(read_manifest(exported())).render()
    for words in (
        "openvino_int8",
        "blurs",
        "mean of the output",
        "mean of a blurred picture",
        "run by ONNX Runtime",
    ):
        assert words in text
    empty = replace(read_manifest(exported()), artifacts=(), absent=(OTHER,))
    assert "no bfloat16 here" in page_of(empty).render()


@pytest.mark.parametrize(("absent", "code"), [(REFUSAL, ExitCode.QUARANTINED), (OTHER, ExitCode.DONE)])
def test_a_refusal_is_the_exit_code(
    absent: Absent, code: ExitCode, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = Run(tmp_path)
    with record.log:
        assert finish(replace(read_manifest(exported()), absent=(absent,)), record) == code
    assert absent.why in capfd.readouterr().err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["artifacts"] == len(FORMATS)
    assert metrics["absent"] == [vars(absent)]
