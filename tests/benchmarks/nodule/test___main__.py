"""The command line of the measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from benchmarks.nodule import __main__ as command
from benchmarks.nodule.__main__ import MEASUREMENTS, Options, command_of, main, options_of
from core.errors import InputError
from core.runs.files import write_json
from tests.benchmarks.nodule.records import records
from tests.benchmarks.nodule.small import detector
from tests.benchmarks.nodule.test_shares import matched


def test_words_become_options() -> None:
    options = options_of(["weights=a b=c.safetensors", "count=60", "training=phantoms"])
    assert (options.weights, options.count, options.training) == ("a b=c.safetensors", 60, "phantoms")
    assert options.need("weights") == Path("a b=c.safetensors")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["weight=x"], "'weight' is not an option; there are weights, training"),
        (["weights"], "'weights' is not an option"),
        (["training=real"], "training is 'real', wanted mixed or phantoms"),
        (["count=many"], "count is 'many', wanted a whole number above 0"),
        (["count=0"], "count is '0', wanted a whole number above 0"),
    ],
)
def test_a_wrong_word_is_named(words: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        options_of(words)
    assert caught.value.sentence.startswith(sentence)


def test_the_command_names_no_path_of_this_machine() -> None:
    options = Options(weights="/a/b/w.safetensors", cache="/c", results="/d", training="phantoms", count=60)
    wanted = "python -m benchmarks.nodule phantoms weights=w.safetensors training=phantoms count=60"
    assert command_of("phantoms", options) == wanted
    assert (
        command_of("speed", Options(scan="/x/lidc-0063/dicom"))
        == "python -m benchmarks.nodule speed scan=dicom"
    )


def test_a_measurement_leaves_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MEASUREMENTS, "phantoms", lambda options: {"count": options.count})
    assert main(["phantoms", "count=3", f"results={tmp_path}"]) == 0
    path = Path(capsys.readouterr().out.strip())
    record = json.loads(path.read_text("utf-8"))
    assert record["theme"] == "nodule-phantoms-mixed"
    assert record["results"] == {"count": 3}


def test_the_threshold_goes_into_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Options, "detector", lambda self: detector())
    monkeypatch.setattr(Options, "phantoms", lambda self: [])
    monkeypatch.setattr(Options, "real_root", lambda self: tmp_path)
    monkeypatch.setattr(command.phantoms, "seen_by_compact", lambda *rest: [])
    monkeypatch.setattr(command.phantoms, "matched_on", lambda *rest: matched([0.9], [0.6], scans=1))
    lung = matched([], [0.9, 0.8, 0.7], scans=1)
    monkeypatch.setattr(command.development, "development_lung", lambda real: None)
    monkeypatch.setattr(command.development, "find_in_lung", lambda *rest: lung)
    monkeypatch.setattr(command.development, "find_inserted", lambda *rest: None)
    monkeypatch.setattr(command.development, "groups_at", lambda result, t: {"diameter": {"all": t}})
    monkeypatch.setattr(command, "load_vois", lambda *rest: [])
    record = MEASUREMENTS["threshold"](Options(output=str(tmp_path / "w.safetensors"), version="3"))
    assert record["threshold"] == record["sensitivity"]["all"] == 0.71
    assert record["false_positives"] == {"development lung": 2.0, "held-out phantoms": 0.0}
    with safe_open(tmp_path / "w.safetensors", framework="pt") as stored:
        assert stored.metadata() == {"threshold": "0.71", "version": "3"}


def test_card_and_page_come_from_the_records(tmp_path: Path) -> None:
    extra: dict[str, Any] = {"headline": {}, "git": None, "seconds": 1, "peak_memory_mb": 1}
    for record in records():
        write_json(tmp_path / record["file"], {**record, **extra})
    assert main(["card", f"results={tmp_path}", f"output={tmp_path / 'card.md'}"]) == 0
    assert main(["page", f"results={tmp_path}"]) == 0
    assert "# Model card" in (tmp_path / "card.md").read_text("utf-8")
    assert "## nodule-speed-mixed" in (tmp_path / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["guess"], "'guess' is not a measurement; there are threshold, phantoms,"),
        (["card"], "add output=FILE"),
        (["speed", "weights=nowhere.safetensors"], "the weights file nowhere.safetensors does not exist"),
        (["development", "real=nowhere"], "name the folder of real data: real=DIR or $TRIPTYCH_DATA"),
    ],
)
def test_wrong_input_ends_in_one_line(
    words: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[0] == "development":
        monkeypatch.setattr(Options, "detector", lambda self: detector())
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(sentence)
    assert error.count("\n") == 1


def test_help_names_every_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    for name in (*MEASUREMENTS, "held-out", "card", "page"):
        assert f"\n  {name} " in page
    assert main([]) == 2
    for name in vars(Options()):
        assert f"{name}=" in page
