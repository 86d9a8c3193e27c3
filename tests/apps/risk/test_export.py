"""stage=export: riskformer's networks leave in other formats, and a scoring runs on what was exported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.config import ModelConfig, RiskConfig, ScoreConfig
from apps.risk.export import export, run
from apps.risk.models.description import Description, TargetsPart, write_description
from apps.risk.score import run as score
from core.errors import ConfigError, ExitCode, InputError
from core.export.manifest import read_manifest
from core.runs.folder import Run
from tests.apps.risk.exported import FORMATS, clients, export_config, exported, series
from tests.apps.risk.score_inputs import files

MADE = {"series": series, "clients": clients}
KEY = ["entity", "target", "step", "kind"]


def scored(what: str, folder: Path, chunk: int = 2000, **words: Any) -> pd.DataFrame:
    """Score the table of a model folder, and return the rows."""
    weights, data = MADE[what]()
    cfg = RiskConfig(
        "score",
        output=str(folder / "out"),
        weights=str(weights),
        data=data,
        model=ModelConfig(horizon=3, paths=100),
        score=ScoreConfig(chunk=chunk),
        **words,
    )
    with (record := Run(folder / "run")).log:
        score(cfg, record)
    (partition,) = (folder / "out" / "scores").glob("as_of=*")
    return pd.read_parquet(partition).sort_values(KEY).reset_index(drop=True)


@pytest.mark.parametrize(
    ("what", "names", "metrics"),
    [
        ("series", {"forecast", "forecast_alone"}, {"pinball", "pinball of a group"}),
        ("clients", {"event"}, {"log loss", "AUROC"}),
    ],
)
def test_the_manifest_has_all_networks_in_each_format(what: str, names: set[str], metrics: set[str]) -> None:
    folder, code = exported(what)
    assert code == ExitCode.DONE
    manifest = read_manifest(folder)
    assert manifest.app == "risk"
    assert {(one.network, one.format) for one in manifest.artifacts} == {
        (network, name) for network in names for name in FORMATS
    }
    for one in manifest.artifacts:
        assert one.error <= 1e-4
        # ONNX Runtime takes other kernels for the event's few rows: see the test of scores
        assert one.rows_independent or (what, one.format) == ("clients", "onnx")
        assert {case.inputs for case in one.cases} == {"random", "real"}
        assert set(one.metrics) == metrics
        for name, record in one.metrics.items():
            assert record.allowed == pytest.approx(0.001 if name == "AUROC" else 0.01 * record.before)


def test_what_is_no_network_of_ours_is_in_the_table() -> None:
    absent = read_manifest(exported("series")[0]).absent
    assert {(one.network, one.format, one.status) for one in absent} == {
        ("tft", name, "not applicable") for name in FORMATS
    }


@pytest.mark.parametrize(
    ("what", "runtime"),
    [*(("series", name) for name in FORMATS), ("clients", "openvino")],
)
def test_scores_on_artifacts_are_those_of_pytorch(what: str, runtime: str, tmp_path: Path) -> None:
    plain = scored(what, tmp_path / "plain")
    other = scored(what, tmp_path / "other", artifacts=str(exported(what)[0]), runtime=runtime)
    assert len(plain) == len(other) > 0
    numbers = 0
    for name in plain:
        if plain[name].dtype.kind != "f":
            assert plain[name].equals(other[name]), name
            continue
        known = plain[name].notna()
        assert known.equals(other[name].notna()), name
        if not known.any():
            continue
        numbers += int(known.sum())
        largest = plain[name].abs().max()
        assert np.allclose(plain[name][known], other[name][known], rtol=1e-4, atol=1e-5 * largest), name
    assert numbers > 50
    metrics = json.loads((tmp_path / "other" / "run" / "metrics.json").read_text())
    assert list(metrics["runtimes"].values()) == [runtime]
    assert "runtimes" not in json.loads((tmp_path / "plain" / "run" / "metrics.json").read_text())
    names, digests = [], []
    for part in ("plain", "other"):
        (path,) = (tmp_path / part / "out" / "scores").glob("as_of=*/_manifest.json")
        model = json.loads(path.read_text())["model"]
        names.append(model["name"])
        digests.append(model["digest"])
    assert names[1] == f"{names[0]} ({runtime})"
    assert digests[0] != digests[1]


@pytest.mark.parametrize("runtime", FORMATS)
def test_how_many_are_scored_at_once_changes_no_byte(runtime: str, tmp_path: Path) -> None:
    folder = str(exported("series")[0])
    for chunk in (1, 3, 2000):
        scored("series", tmp_path / str(chunk), chunk, artifacts=folder, runtime=runtime)
    first, *others = (
        {name: digest for name, digest in files(tmp_path / str(chunk) / "out").items() if "part-" in name}
        for chunk in (1, 3, 2000)
    )
    assert first
    assert all(one == first for one in others)


def test_artifacts_of_other_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds the networks event, not forecast"):
        scored("series", tmp_path, artifacts=str(exported("clients")[0]), runtime="onnx")


def test_a_model_without_networks_takes_no_artifacts(tmp_path: Path) -> None:
    weights, data = series()
    cfg = RiskConfig(
        "score",
        output=str(tmp_path / "out"),
        weights=str(weights),
        data=data,
        model=ModelConfig(name="historical_simulation"),
        artifacts=str(exported("series")[0]),
    )
    with (
        (record := Run(tmp_path / "run")).log,
        pytest.raises(InputError, match="the models that score are historical_simulation"),
    ):
        score(cfg, record)


def test_a_folder_without_a_riskformer_is_refused(tmp_path: Path) -> None:
    write_description(tmp_path / "model", Description(TargetsPart("gjr_garch", {})))
    cfg = export_config((tmp_path / "model", series()[1]), tmp_path / "out")
    with (record := Run(tmp_path / "run")).log, pytest.raises(InputError, match="holds no riskformer"):
        run(cfg, record)
    assert not (tmp_path / "out").exists()


def test_options_are_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='formats=onxx is not a format: did you mean "onnx"'):
        export_config(series(), tmp_path, formats=["onxx"])
    with pytest.raises(ConfigError, match=r"model\.device=cuda asks for a GPU"):
        RiskConfig("score", output="o", artifacts="a", model=ModelConfig(device="cuda"))


def test_steps_are_told_as_they_are_done(tmp_path: Path) -> None:
    steps: list[tuple[str, str]] = []
    cfg = replace(export_config(series(), tmp_path / "out"), formats=["torch_export"])
    with (record := Run(tmp_path / "run")).log:
        export(cfg, record, on_step=lambda step: steps.append((step.network, step.format)))
    assert [name for name, _ in steps] == ["forecast", "forecast_alone", "all networks"]
