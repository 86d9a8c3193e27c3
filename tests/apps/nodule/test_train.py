"""stage=train: samples that mean what they say, three rounds through the entry point, taken up where they broke off."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from apps.nodule.config import ModelConfig, NoduleConfig
from apps.nodule.data.dicom_write import write_ct_series
from apps.nodule.data.luna16 import Annotations, write_annotations
from apps.nodule.data.series import scan
from apps.nodule.data.volume_files import write_volume_file
from apps.nodule.models.compact import CROP, STRIDE, CompactNet
from apps.nodule.models.compact_detector import load_compact, save_compact
from apps.nodule.train import (
    AGAIN,
    FIRST,
    HIT_MM,
    JUDGE,
    ROUND_SHARES,
    judge_sample,
    proposal_sample,
)
from core.errors import InputError
from core.training.config import TrainerConfig, share_of
from pipelines.nodule import main
from tests.apps.nodule.bodies import Ball, Body, small_scan
from tests.apps.nodule.data.training.materials import maker, specimen

BALL = Ball((40.0, 5.0, -10.0), 12.0)
ROUNDS = ("proposal", "proposal_again", "judge")


def test_the_rounds_share_the_steps_and_the_shares_of_samples_make_a_whole() -> None:
    assert sum(ROUND_SHARES.values()) == pytest.approx(1)
    for shares in (FIRST, AGAIN, JUDGE):
        assert sum(shares.values()) == pytest.approx(1)
    trainer = TrainerConfig(max_steps=1000, max_minutes=10)
    rounds = [share_of(trainer, ROUND_SHARES[name]) for name in ROUNDS]
    assert [r.max_steps for r in rounds] == [320, 260, 420]
    assert [r.max_minutes for r in rounds] == pytest.approx([3.2, 2.6, 4.2])


def test_a_proposal_sample_has_its_peak_at_the_nodule() -> None:
    make = proposal_sample(maker(edge=64, jitter=8.0))
    for seed in range(6):
        hu, heat, box, valid = make(np.random.default_rng(seed))
        assert hu.shape == (1, 64, 64, 64)
        assert heat.shape == valid.shape == (16, 16, 16)
        assert box.shape == (4, 16, 16, 16)
        assert {a.dtype for a in (hu, heat, box, valid)} == {np.dtype(np.float32)}
        cells = np.argwhere(heat == 1)
        assert 1 <= len(cells) <= 8  # a centre at a corner has several nearest cells
        centres = (cells + box[:3, *cells.T].T) * STRIDE + (STRIDE - 1) / 2
        assert np.ptp(centres, axis=0).max() < 1e-3
        d, h, w = np.rint(centres[0]).astype(int)
        assert hu[0, d - 1 : d + 2, h - 1 : h + 2, w - 1 : w + 2].mean() > -300
        assert ((np.exp(box[3, *cells.T]) > 7) & (np.exp(box[3, *cells.T]) < 13)).all()
        assert valid.mean() > 0.5


def test_what_is_not_known_is_not_valid() -> None:
    make = proposal_sample(maker("cube", edge=64, jitter=2.0, cubes=[specimen(edge=31)]))
    _, heat, _, valid = make(np.random.default_rng(0))
    assert 0.05 < valid.mean() < 0.25
    assert valid[tuple(np.argwhere(heat == 1)[0])] == 1


def test_a_judge_sample_says_whether_a_nodule_is_in_its_middle() -> None:
    make = judge_sample(maker(edge=CROP, jitter=2.5))
    samples = [make(np.random.default_rng([4, seed])) for seed in range(60)]
    hits = np.array([float(is_nodule) for _, is_nodule, _ in samples])
    assert set(hits) == {0.0, 1.0}
    assert 0.85 < hits.mean() < 1
    for hu, is_nodule, box in samples:
        assert hu.shape == (1, CROP, CROP, CROP)
        assert (hu.dtype, is_nodule.dtype, box.dtype) == (np.float32,) * 3
        if not is_nodule:
            assert not box.any()
            continue
        centre = (CROP - 1) / 2 + box[:3] * STRIDE
        assert np.linalg.norm(box[:3] * STRIDE) < max(HIT_MM, np.exp(box[3]) / 2)
        d, h, w = np.rint(centre).astype(int)
        assert hu[0, d - 1 : d + 2, h - 1 : h + 2, w - 1 : w + 2].mean() > -300


def test_a_judge_sample_without_a_nodule_says_no() -> None:
    make = judge_sample(maker("dense", edge=CROP, jitter=2.5))
    for seed in range(5):
        _, is_nodule, box = make(np.random.default_rng(seed))
        assert is_nodule == 0
        assert box.tolist() == [0, 0, 0, 0]


def test_saved_weights_are_loaded_by_the_detector(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = CompactNet()
    path = tmp_path / "compact.safetensors"
    save_compact(net, path, {})
    detector = load_compact(ModelConfig(), str(path))
    assert (detector.threshold, detector.version) == (0.5, "unnamed")
    for name, value in detector.net.state_dict().items():
        kept = net.state_dict()[name]
        assert torch.equal(value.cpu(), kept.half().float() if kept.is_floating_point() else kept), name
    save_compact(net, path, {"threshold": "0.25", "version": "7"})
    detector = load_compact(ModelConfig(), str(path))
    assert (detector.threshold, detector.version) == (0.25, "7")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A tiny DICOM series, a tiny NIfTI volume and a table of their nodules, as options of the command line."""
    folder = tmp_path_factory.mktemp("own")
    body = small_scan(Body(lung_mm=(28.0, 30.0, 34.0), balls=(BALL,)), spacing_mm=(2.5, 1.5, 1.5))
    write_ct_series(body, folder / "volumes" / "series")
    write_volume_file(body, folder / "volumes" / "body.nii.gz")
    (series,) = (item.id for item in scan(folder / "volumes" / "series"))
    table = Annotations((series, "body"), np.array([BALL.centre_mm] * 2), np.array([12.0, 12.0]))
    write_annotations(folder / "nodules.csv", table)
    return [
        "data=folder",
        f"data.volumes={folder / 'volumes'}",
        f"data.annotations={folder / 'nodules.csv'}",
        "trainer=smoke",
    ]


def train(run_dir: Path, *options: str) -> int:
    return main(["stage=train", f"run_dir={run_dir}", *options])


@pytest.fixture(scope="module")
def trained(own: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert train(folder, *own, "trainer.max_steps=12") == 0
    return folder


def metrics(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "metrics.json").read_text())


def test_training_on_ones_own_volumes_leaves_weights_and_numbers(trained: Path) -> None:
    numbers = metrics(trained)
    assert numbers["scenes"] == 2
    assert list(numbers["rounds"]) == sorted(ROUNDS)
    assert [numbers["rounds"][name]["steps"] for name in ROUNDS] == [4, 3, 5]
    for entry in numbers["rounds"].values():
        assert 0 < entry["loss"] < 1000
        assert entry["seconds"] > 0
    detector = load_compact(ModelConfig(), str(trained / "compact.safetensors"))
    assert detector.threshold == 0.5
    with safe_open(trained / "compact.safetensors", framework="pt") as stored:
        assert len(list(stored.keys())) == len(CompactNet().state_dict())
    stages = [json.loads(line)["event"] for line in (trained / "log.jsonl").read_text().splitlines()]
    assert stages.count("mined") == 2
    assert stages.count("train") == 4 + 3 + 5


@pytest.mark.parametrize("broken_off", ["before_the_judge", "in_the_judge", "after_the_judge"])
def test_the_same_command_resumes_an_interrupted_run(
    trained: Path, own: list[str], tmp_path: Path, broken_off: str
) -> None:
    """What lies on the disk when a run is cut off in or after its third round leads to the same weights."""
    again = tmp_path / "run"
    shutil.copytree(trained, again)
    for name in ("compact.safetensors", "metrics.json"):
        (again / name).unlink()
    if broken_off == "in_the_judge":
        (again / "checkpoints" / "judge" / "weights.safetensors").unlink()
        shutil.copy(
            again / "checkpoints" / "judge" / "step-4.ckpt", again / "checkpoints" / "judge" / "last.ckpt"
        )
    elif broken_off == "before_the_judge":
        shutil.rmtree(again / "checkpoints" / "judge")
        (again / "tempting_again.npz").write_bytes(b"cut off")
    assert train(again, *own, "trainer.max_steps=12") == 0
    first, second = (load_file(folder / "compact.safetensors") for folder in (trained, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert metrics(again)["rounds"]["proposal"] == metrics(trained)["rounds"]["proposal"]
    assert metrics(again)["rounds"]["judge"]["loss"] == metrics(trained)["rounds"]["judge"]["loss"]


def test_a_training_begins_from_given_weights(trained: Path, own: list[str], tmp_path: Path) -> None:
    weights = f"weights={trained}"
    frozen = "trainer.learning_rate=1e-12"
    options = (*own, weights, frozen, "trainer.max_steps=3", "trainer.ema_decay=0", "trainer.weight_decay=0")
    assert train(tmp_path / "run", *options) == 0
    first, second = (load_file(f / "compact.safetensors") for f in (trained, tmp_path / "run"))
    learnt = [n for n in first if "running" not in n and "batches" not in n]
    assert len(learnt) > 40
    assert all(torch.allclose(first[n], second[n], rtol=0, atol=1e-6) for n in learnt)


def test_the_smoke_experiment_runs_through_the_front_door(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ("experiment=smoke", f"data.cache={tmp_path / 'cache'}")
    assert train(tmp_path / "run", *options) == 0
    assert capfd.readouterr() == ("", "")
    assert metrics(tmp_path / "run")["scenes"] == 1
    assert (tmp_path / "run" / "compact.safetensors").is_file()


def test_bad_input_ends_in_one_line(
    own: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.csv").write_text("")
    cases = [
        (["data=mixed", f"data.real={tmp_path}"], "data=mixed needs the folder of real CT"),
        ([*own[:2], f"data.annotations={tmp_path / 'empty.csv'}"], "empty.csv is empty; wanted the columns"),
        ([*own, f"weights={tmp_path / 'none.safetensors'}"], "none.safetensors cannot be read"),
        ([*own, f"weights={tmp_path}"], "holds no .safetensors file: name a weights file or the folder"),
        (["data=phantoms", "data.phantoms=0"], "data.phantoms=0 leaves no lung to train on"),
    ]
    for options, sentence in cases:
        assert train(tmp_path / "run", *options) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("triptych-nodule: ")
        assert sentence in err
        assert err.count("\n") == 1


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no weights of the compact detector"):
        load_compact(ModelConfig(), str(tmp_path / "bad.safetensors"))


def test_the_command_trains_the_compact_detector() -> None:
    assert NoduleConfig(stage="train").model.name == "compact"
