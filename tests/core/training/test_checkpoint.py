from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from core.errors import InputError
from core.training.checkpoint import AtomicCheckpoints, RandomState, plain_tensors
from tests.core.training.toy import Toy, settings


def test_a_checkpoint_is_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "last.ckpt"
    writer = AtomicCheckpoints()
    writer.save_checkpoint({"x": torch.arange(3)}, path)
    writer.save_checkpoint({"x": torch.arange(4)}, str(path))
    assert writer.load_checkpoint(path, weights_only=True)["x"].tolist() == [0, 1, 2, 3]
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_that_does_not_fit_leaves_the_old_one(small_disk: Path) -> None:
    writer, path = AtomicCheckpoints(), small_disk / "last.ckpt"
    writer.save_checkpoint({"x": torch.zeros(9)}, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"the disk of .*small-disk is full"):
        writer.save_checkpoint({"x": torch.zeros(2**18)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in small_disk.iterdir()] == ["last.ckpt"]


def test_two_names_of_one_tensor_are_saved_as_two(tmp_path: Path) -> None:
    shared = torch.nn.Linear(2, 3)
    module = torch.nn.ModuleDict({"a": shared, "b": shared, "c": torch.nn.Linear(2, 3)})
    with pytest.raises(RuntimeError, match="share memory"):
        save(dict(module.state_dict()))
    result = load(save(plain_tensors(module)))
    assert result.keys() == module.state_dict().keys()
    assert all(torch.equal(result[name], value) for name, value in module.state_dict().items())
    assert plain_tensors(module)["a.weight"].data_ptr() == shared.weight.data_ptr()  # the first is not a copy


def test_random_numbers_go_on_where_the_checkpoint_was_made() -> None:
    trainer, module = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), Toy(settings())
    torch.manual_seed(1)
    torch.rand(5)
    kept = RandomState().state_dict()
    wanted = torch.rand(5)
    later = RandomState()
    later.load_state_dict(kept)
    torch.manual_seed(99)
    later.on_train_batch_start(trainer, module, np.zeros(1), 0)
    assert torch.equal(torch.rand(5), wanted)
    # only before the first step: the next one goes on
    later.on_train_batch_start(trainer, module, np.zeros(1), 1)
    assert not torch.equal(torch.rand(5), wanted)


def test_without_a_checkpoint_the_seed_counts() -> None:
    trainer, module = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), Toy(settings())
    torch.manual_seed(7)
    wanted = torch.rand(5)
    torch.manual_seed(7)
    RandomState().on_train_batch_start(trainer, module, np.zeros(1), 0)
    assert torch.equal(torch.rand(5), wanted)
