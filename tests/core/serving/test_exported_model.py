from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.export.manifest import read_manifest
from core.serving.exported_model import build
from core.serving.messages import Message
from tests.core.serving.exports import folder

SPIN = next(one for one in read_manifest(folder()).artifacts if one.network == "spin")


def test_a_network_takes_and_returns_arrays_by_the_names_of_its_ports() -> None:
    model = build(str(folder()), asdict(SPIN), 1)
    x = np.linspace(-0.5, 0.5, 8, dtype="f4").reshape(2, 4)
    answer = model(Message({}, {"scale": np.array([4, 5]), "x": x}))
    assert list(answer.arrays) == ["y", "next"]
    np.testing.assert_allclose(answer.arrays["y"], x * 3)
    assert answer.arrays["next"].tolist() == [5, 6]


def test_what_the_network_does_not_take_is_refused() -> None:
    model = build(str(folder()), asdict(SPIN), 1)
    with pytest.raises(InputError, match="spin: x is 3 along dimension 1, which takes 4"):
        model(Message({}, {"x": np.zeros((1, 3), "f4"), "scale": np.array([1])}))


def test_another_file_than_the_service_knows_is_not_served(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder(), copy)
    with (copy / SPIN.files[0].path).open("ab") as stream:
        stream.write(b"!")
    with pytest.raises(InputError, match="is not the file that was exported"):
        build(str(copy), asdict(SPIN), 1)
