from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.runs.folder import SETTINGS, Run
from core.runs.training import Checkpoints, Source, Training, deciding
from core.settings.schema import Section, free_text, setting
from core.training.config import TrainerConfig

pytestmark = pytest.mark.slow

PARTS = ("seed", "model", "trainer")


@dataclass
class Model(Section):
    where = "model"

    width: int = setting(8, "width")
    device: str = setting("cpu", "where it computes")


@dataclass
class Config(Section):
    stage: str = setting("train", "what to do")
    seed: int = setting(0, "seed")
    output: str | None = free_text(None, "results")
    model: Model = field(default_factory=Model)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


DATA = {"data.path": Source("a.csv", "1" * 64), "weights": Source(None, "2" * 64)}


def begin(
    folder: Path, config: Config, sources: dict[str, Source] | None = None, *, train: bool = True
) -> Checkpoints:
    """Begin a training, and leave a checkpoint as its first steps would."""
    run = Run(folder, "a config\n", command="triptych-toy")
    with run.log:
        checkpoints = Training(run, config, PARTS, but=("model.device",)).begin(
            DATA if sources is None else sources
        )
        if train:
            checkpoints.on_train()
            (checkpoints / "part").path.mkdir(parents=True, exist_ok=True)
            ((checkpoints / "part").path / "last.ckpt").write_bytes(b"x")
    return checkpoints


def changed(**fields: Any) -> Config:
    trainer = {name: fields.pop(name) for name in list(fields) if name in TrainerConfig.__dataclass_fields__}
    model = {name: fields.pop(name) for name in list(fields) if name in Model.__dataclass_fields__}
    return Config(model=replace(Model(), **model), trainer=replace(TrainerConfig(), **trainer), **fields)


def test_what_decides_the_weights() -> None:
    settings = deciding(Config(), PARTS, but=("model.device",))
    assert {"seed", "model.width", "trainer.learning_rate", "trainer.max_steps"} <= settings.keys()
    for name in ("stage", "output", "model.device", "trainer.num_workers", "trainer.max_minutes"):
        assert name not in settings
    assert not any("every" in name for name in settings)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"output": "elsewhere"},
        {"device": "cuda"},
        {"num_workers": 3},
        {"max_minutes": 1.0},
        {"checkpoint_every_steps": 1},
        {"log_every_steps": 1},
        {"max_steps": 20000},
    ],
)
def test_what_does_not_decide_the_weights_may_change(tmp_path: Path, fields: dict[str, Any]) -> None:
    first = begin(tmp_path, Config())
    second = begin(tmp_path, changed(**fields))
    assert second.mark == first.mark
    assert second.path == tmp_path / "checkpoints"


@pytest.mark.parametrize(
    ("fields", "name", "old", "new"),
    [
        ({"seed": 1}, "seed", "0", "1"),
        ({"width": 9}, "model.width", "8", "9"),
        ({"learning_rate": 0.01}, "trainer.learning_rate", "0.001", "0.01"),
        ({"batch_size": 16}, "trainer.batch_size", "8", "16"),
        ({"weight_decay": 0.0}, "trainer.weight_decay", "0.01", "0.0"),
        ({"warmup_steps": 5}, "trainer.warmup_steps", "200", "5"),
        ({"ema_decay": 0.0}, "trainer.ema_decay", "0.998", "0.0"),
        ({"gradient_clip": 0.0}, "trainer.gradient_clip", "1.0", "0.0"),
        ({"precision": "bf16"}, "trainer.precision", "fp32", "bf16"),
        ({"strategy": "ddp", "devices": 2}, "trainer.strategy", "single", "ddp"),
        ({"max_steps": 9999}, "trainer.max_steps", "10000", "9999"),
    ],
)
def test_any_other_setting_is_refused_by_name(
    tmp_path: Path, fields: dict[str, Any], name: str, old: str, new: str
) -> None:
    begin(tmp_path, Config())
    kept = (tmp_path / SETTINGS).read_bytes()
    with pytest.raises(ConfigError) as refused:
        begin(tmp_path, changed(**fields))
    assert f"was begun with {name}={old}, and this run has {name}={new}:" in refused.value.sentence
    assert (tmp_path / SETTINGS).read_bytes() == kept


def test_other_content_is_refused_and_another_path_to_the_same_is_not(tmp_path: Path) -> None:
    first = begin(tmp_path, Config())
    assert begin(tmp_path, Config(), {**DATA, "data.path": Source("b.csv", "1" * 64)}).mark == first.mark
    with pytest.raises(
        ConfigError, match=r"data\.path=b\.csv \(content 111111111111\), and this run has data\.path=a\.csv"
    ):
        begin(tmp_path, Config(), {**DATA, "data.path": Source("a.csv", "3" * 64)})
    with pytest.raises(ConfigError, match=r"weights=.* \(content 222222222222\), and this run has weights=w"):
        begin(tmp_path, Config(), {**DATA, "weights": Source("w", "4" * 64)})
    with pytest.raises(ConfigError, match="this run has weights=unset"):
        begin(tmp_path, Config(), {"data.path": DATA["data.path"]})


def test_more_steps_are_recorded_once_they_are_trained(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, Config())
    begin(tmp_path, changed(max_steps=10001), train=False)
    begin(tmp_path, Config())  # nothing was trained beyond
    assert capfd.readouterr().err == ""
    begin(tmp_path, changed(max_steps=10001))
    assert capfd.readouterr().err == f"triptych-toy: {tmp_path} trains on: trainer.max_steps 10000 → 10001\n"
    with pytest.raises(
        ConfigError, match=r"trainer\.max_steps=10001, and this run has trainer\.max_steps=10000"
    ):
        begin(tmp_path, Config())


def test_more_processes_are_another_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path, Config())
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match="begun with processes=1, and this run has processes=4"):
        begin(tmp_path, Config())


def test_an_option_that_one_of_both_lacks_is_refused(tmp_path: Path) -> None:
    begin(tmp_path, Config())
    held = json.loads((tmp_path / SETTINGS).read_text())
    held["settings"]["model.depth"] = 3
    (tmp_path / SETTINGS).write_text(json.dumps(held))
    with pytest.raises(ConfigError, match=r"begun with model\.depth=3, and this run has model\.depth=unset"):
        begin(tmp_path, Config())


def test_each_part_has_a_mark_of_its_own(tmp_path: Path) -> None:
    root = Checkpoints(tmp_path, "mark")
    parts = [root, root / "a", root / "b", root / "a" / "b", (root / "a").begun_from("w")]
    assert len({part.identity for part in parts}) == 5
    assert [part.path.relative_to(tmp_path).as_posix() for part in parts] == [".", "a", "b", "a/b", "a"]
