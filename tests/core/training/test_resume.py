"""Damaged, foreign and hostile files in a folder of checkpoints; all on the toy network, finished or cut off."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import InputError
from core.runs.log import RunLog
from core.runs.training import Checkpoints
from core.training.fit import Fitted, fit
from core.training.resume import BEGUN, WEIGHTS
from tests.core.training.toy import SEED, Interrupted, Toy, make, settings

CUT_IN = 7  # step in which a training is cut off; checkpoints are of steps 4 and 6 then


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def train(
    folder: Path, said: list[str] | None = None, *, steps: int = 9, cut: int | None = None, **changes: Any
) -> tuple[Toy, Fitted]:
    left = iter(range(4 * (cut or 1000)))

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if next(left, None) is None:
            raise Interrupted
        return make(rng)

    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = [] if said is None else said
    checkpoints = replace(Checkpoints(folder / "part", "mark", say=lines.append), **changes)
    trainer = settings(max_steps=steps)
    module = Toy(trainer)
    with RunLog(folder / "log.jsonl") as log:
        return module, fit(module, sample, trainer, checkpoints, log, SEED)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "part" / WEIGHTS)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    with pytest.raises(Interrupted):
        train(folder, cut=CUT_IN)
    assert sorted(path.name for path in (folder / "part").iterdir()) == ["last.ckpt", "step-4.ckpt"]
    return folder


def _cut(share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return damage


def _text(path: Path) -> None:
    path.write_text("this is not a checkpoint\n")


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
        with archive.open(largest) as stream:
            content = stream.read()
    data[data.index(content) + len(content) // 2] ^= 0xFF
    path.write_bytes(data)


def _bomb(path: Path) -> None:
    torch.save({"state_dict": Bomb(path.parent / "ran")}, path)


def _bomb_inside(path: Path) -> None:
    kept = torch.load(path, weights_only=True)
    torch.save({**kept, "callbacks": {"a": Bomb(path.parent / "ran")}}, path)


def _bare_bomb(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(path.parent / "ran")))


def _legacy_bomb(path: Path) -> None:
    torch.save(Bomb(path.parent / "ran"), path, _use_new_zipfile_serialization=False)


def _numbers(path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, path)


def _list(path: Path) -> None:
    torch.save([1, 2, 3], path)


def _other_network(path: Path) -> None:
    kept = torch.load(path, weights_only=True)
    kept["state_dict"] = {"net.0.weight": torch.zeros(2, 2)}
    torch.save(kept, path)


def _other_settings(path: Path) -> None:
    kept = torch.load(path, weights_only=True)
    torch.save({**kept, "triptych_mark": "another"}, path)


DAMAGES = [
    (_cut(0.0), "is empty"),
    (_cut(0.01), "is cut short or not a checkpoint"),
    (_cut(0.5), "is cut short or not a checkpoint"),
    (_cut(0.999), "is cut short or not a checkpoint"),
    (_text, "is cut short or not a checkpoint"),
    (_flipped, "is damaged"),
    (_bomb, "holds objects that could run code, and was not loaded"),
    (_bomb_inside, "holds objects that could run code, and was not loaded"),
    (_bare_bomb, "is cut short or not a checkpoint"),
    (_legacy_bomb, "is cut short or not a checkpoint"),
    (_numbers, "is not a checkpoint of a training"),
    (_list, "is not a checkpoint of a training"),
    (_other_network, "belongs to another network"),
    (_other_settings, "belongs to a training with other settings"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_an_unusable_last_checkpoint_falls_back_to_the_one_before(
    broken: Path, whole: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    shutil.copytree(broken, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "part" / "last.ckpt")
    said: list[str] = []
    train(tmp_path, said)
    folder = tmp_path / "part"
    assert said == [f"{folder}: last.ckpt {reason}: resumed from step-4.ckpt, step 4, instead"]
    assert same(weights(tmp_path), weights(whole))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_without_a_usable_checkpoint_it_is_said_what_to_do(
    broken: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    shutil.copytree(broken, tmp_path, dirs_exist_ok=True)
    for name in ("last.ckpt", "step-4.ckpt"):
        damage(tmp_path / "part" / name)
    with pytest.raises(InputError) as refused:
        train(tmp_path)
    folder = tmp_path / "part"
    assert refused.value.sentence == (
        f"no checkpoint in {folder} can be resumed from (last.ckpt {reason}; step-4.ckpt {reason}): delete that folder "
        "to train this part from its beginning, or name another run_dir"
    )
    assert not (folder / "ran").exists()


def test_a_bomb_beside_good_checkpoints_does_not_run(broken: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(broken, tmp_path, dirs_exist_ok=True)
    for name in ("hpc_ckpt_1.ckpt", "other.ckpt", "step-8.ckpt"):
        _bomb(tmp_path / "part" / name)
    said: list[str] = []
    train(tmp_path, said)
    assert len(said) == 1
    assert said[0].endswith("resumed from last.ckpt, step 6, instead")
    assert same(weights(tmp_path), weights(whole))
    assert not (tmp_path / "part" / "ran").exists()


def test_a_missing_last_checkpoint_is_no_matter(broken: Path, whole: Path, tmp_path: Path) -> None:
    """Killed between two renames: the one before is the newest then."""
    shutil.copytree(broken, tmp_path, dirs_exist_ok=True)
    (tmp_path / "part" / "last.ckpt").unlink()
    said: list[str] = []
    train(tmp_path, said)
    assert said == []
    assert same(weights(tmp_path), weights(whole))


def _other_weights(path: Path) -> None:
    save_file(
        {"a": torch.zeros(2)}, path, {"steps": "9", "loss": "", "seconds": "1", "minutes": "", "mark": "x"}
    )


def _weights_of_other_settings(path: Path) -> None:
    save_file(load_file(path), path, {"steps": "9", "loss": "", "seconds": "1", "minutes": "", "mark": "x"})


WEIGHT_DAMAGES = [
    (_cut(0.0), "is empty"),
    (_cut(0.005), "is cut short, damaged or not a file of weights"),
    (_cut(0.5), "is cut short, damaged or not a file of weights"),
    (_cut(0.999), "is cut short, damaged or not a file of weights"),
    (_text, "is cut short, damaged or not a file of weights"),
    (_bomb, "is cut short, damaged or not a file of weights"),
    (_bare_bomb, "is cut short, damaged or not a file of weights"),
    (_other_weights, "belongs to another network"),
    (_weights_of_other_settings, "belongs to a training with other settings"),
]


@pytest.mark.parametrize(("damage", "reason"), WEIGHT_DAMAGES)
def test_unusable_weights_are_made_again_from_the_last_step(
    whole: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "part" / WEIGHTS)
    said: list[str] = []
    _, fitted = train(tmp_path, said)
    folder = tmp_path / "part"
    assert said == [f"{folder}: {WEIGHTS} {reason}: it is made again from the checkpoints"]
    assert same(weights(tmp_path), weights(whole))
    assert fitted.steps == 9
    assert not (folder / "ran").exists()
    for path in folder.glob("*.ckpt"):
        path.unlink()
    damage(folder / WEIGHTS)
    with pytest.raises(InputError, match=rf"can be resumed from \({WEIGHTS} {reason}\): delete that folder"):
        train(tmp_path)


def test_more_steps_train_on_from_the_last_one(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    seen: list[bool] = []
    _, fitted = train(tmp_path, steps=13, on_train=lambda: seen.append(True))
    assert fitted.steps == 13
    assert seen == [True]
    assert not same(weights(tmp_path), weights(whole))
    kept = torch.load(tmp_path / "part" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 13
    before = torch.load(whole / "part" / "last.ckpt", weights_only=True)
    assert before["global_step"] == 9  # the last step is kept, between two regular checkpoints
    _, again = train(tmp_path, steps=13, on_train=lambda: seen.append(True))
    assert (again.steps, seen) == (13, [True])


def test_a_part_begins_anew_where_what_it_begins_from_has_changed(tmp_path: Path) -> None:
    said: list[str] = []
    train(tmp_path, said, after="first")
    assert (tmp_path / "part" / BEGUN).is_file()
    first = weights(tmp_path)
    train(tmp_path, said, after="first")
    assert said == []
    train(tmp_path, said, after="second", steps=4)
    other = tmp_path / "part-2"
    assert said == [f"part begins anew in {other}: what it begins from was trained on"]
    assert same(weights(tmp_path), first)
    assert (other / WEIGHTS).is_file()
    train(tmp_path, said, after="second", steps=4)
    assert len(said) == 1
    (other / BEGUN).write_text("{")
    with pytest.raises(InputError, match=r"begun\.json is damaged"):
        train(tmp_path, after="third")


def test_no_file_of_a_training_holds_anything_but_tensors_and_plain_values(whole: Path) -> None:
    for path in (whole / "part").glob("*.ckpt"):
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
            names = pickle_names(archive.read(name))
        assert names <= {
            "torch._utils _rebuild_tensor_v2",
            "torch FloatStorage",
            "torch LongStorage",
            "torch ByteStorage",
            "collections OrderedDict",
        }


def pickle_names(data: bytes) -> set[str]:
    """Return what a pickle would import."""
    return {
        str(argument) for code, argument, _ in pickletools.genops(io.BytesIO(data)) if code.name == "GLOBAL"
    }
