"""Held-out phantoms: made once, read again, made anew where the generator draws otherwise."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.phantom.phantom import PhantomSpec, split_of_seed
from benchmarks.nodule import held_out as module
from benchmarks.nodule.held_out import COARSE, FIRST_SEED, generator_digest, held_out, set_digest

TINY = PhantomSpec(slice_mm=6.0, pixel_mm=3.0, anatomy_mm=4.0, split="test", nodules=(2, 2))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make phantoms of few voxels, each once; return the seeds that were asked for, the generator's own left out."""
    made: list[int] = []
    make = cache(module.make_phantom)

    def noting(seed: int, spec: PhantomSpec) -> object:
        if spec == TINY:
            made.append(seed)
        return make(seed, TINY)

    monkeypatch.setattr(module, "make_phantom", noting)
    monkeypatch.setattr(module, "draw_spec", lambda seed, split: TINY)
    monkeypatch.setattr(module, "CANARIES", (FIRST_SEED,))
    generator_digest.cache_clear()
    return made


def test_a_phantom_is_made_once_and_read_again(tiny: list[int], tmp_path: Path) -> None:
    first = held_out(tmp_path, 2)
    again = held_out(tmp_path, 2)
    assert tiny == [FIRST_SEED, FIRST_SEED + 1]
    assert first == again
    assert set_digest(first) == set_digest(again) != set_digest(first[:1])
    volume = first[0].volume()
    assert volume.hu_DHW.dtype == np.int16
    assert volume.spacing_mm == pytest.approx([6.0, 3.0, 3.0])
    assert len(first[0].nodules) > 0
    for nodule in first[0].nodules:
        index = volume.to_index(np.array([nodule.centre_mm]))[0]
        assert np.all(index > 0)
        assert np.all(index < volume.hu_DHW.shape)
    assert (first[0].slice_mm, first[0].kernel, first[0].dose) == (6.0, "standard", 1.0)
    # what another generator made is made anew
    truth = tmp_path / f"{FIRST_SEED}.json"
    known = json.loads(truth.read_text("utf-8"))
    truth.write_text(json.dumps({**known, "generator": "older"}))
    assert held_out(tmp_path, 2) == first
    assert tiny == [FIRST_SEED, FIRST_SEED + 1, FIRST_SEED]
    assert json.loads(truth.read_text("utf-8")) == known


def test_the_set_is_of_held_out_shapes() -> None:
    assert COARSE.split == "test"
    assert split_of_seed(FIRST_SEED) == module.draw_spec(FIRST_SEED, split="test").split == "test"
    assert module.COUNT >= 60
