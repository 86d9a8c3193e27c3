"""`weights=` names a file or a folder; a folder must hold exactly one weights file."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.nodule.models.weights_file import weights_file
from core.errors import InputError

SUFFIXES = (".pt", ".safetensors")


def test_a_file_is_itself_whatever_its_name(tmp_path: Path) -> None:
    for name in ("mine.bin", "is_not_there.safetensors"):
        assert weights_file(tmp_path / name, SUFFIXES) == tmp_path / name


def test_a_folder_means_the_one_weights_file_directly_in_it(tmp_path: Path) -> None:
    (tmp_path / "compact.safetensors").touch()
    # What else a run folder holds: records, a half-written file, checkpoints below.
    for name in (
        "metrics.json",
        "tempting.npz",
        ".compact.safetensors",
        "checkpoints/judge/weights.safetensors",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.pt").mkdir()
    assert weights_file(tmp_path, SUFFIXES) == tmp_path / "compact.safetensors"


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").touch()
    with pytest.raises(InputError) as caught:
        weights_file(tmp_path, SUFFIXES)
    assert caught.value.code == "weights_not_in_folder"
    assert str(caught.value) == (
        f"{tmp_path} holds no .pt or .safetensors file: name a weights file or the folder of a training run"
    )


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["b.pt", "a.safetensors"], "2 weights files (a.safetensors, b.pt)"),
        (["a.pt", "b.pt", "c.pt", "d.pt"], "4 weights files (a.pt, b.pt, c.pt, …)"),
    ],
)
def test_a_folder_with_several_is_refused_with_their_names(
    tmp_path: Path, names: list[str], shown: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        weights_file(tmp_path, SUFFIXES)
    assert caught.value.code == "weights_ambiguous"
    assert str(caught.value) == f"{tmp_path} holds {shown}: name one of them"


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", failing)
    with pytest.raises(InputError) as caught:
        weights_file(tmp_path, SUFFIXES)
    assert caught.value.code == "weights_unreadable"
    assert str(caught.value) == f"{tmp_path} cannot be read: Permission denied"
