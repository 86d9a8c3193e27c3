"""Prompts come out of a file as they were written, and no prompt makes a name that harms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import apps.imagegen.data.prompts as module
from apps.imagegen.data.prompts import Prompt, read_prompts, stem_of
from core.errors import InputError


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "prompts.txt"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_prompt_a_line_whatever_the_line_ends(tmp_path: Path, end: bytes, mark: bytes) -> None:
    lines = ["red apple", "", "  # a remark", '  红苹果, "=" # 2  ', "\t", "last\u2028one"]
    data = mark + end.join(line.encode() for line in lines)
    assert read_prompts(_written(tmp_path, data)) == [
        Prompt("red apple", 1),
        Prompt('红苹果, "=" # 2', 4),
        Prompt("last\u2028one", 6),
    ]


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"red\nb\xe9b\xe9\n", "prompts_not_utf8", "is not UTF-8 in line 2: save it as UTF-8"),
        ("red apple".encode("utf-16"), "prompts_utf16", "is UTF-16: save it as UTF-8"),
        (b"a\r\nb\rc\n\xed\xa0\x80", "prompts_not_utf8", "is not UTF-8 in line 4: save it as UTF-8"),
        (b"", "prompts_empty", "holds no prompt: write one a line"),
        (b"\xef\xbb\xbf\n# only\n \n", "prompts_empty", "holds no prompt: write one a line"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported_in_one_line(
    tmp_path: Path, data: bytes, code: str, sentence: str
) -> None:
    path = _written(tmp_path, data)
    with pytest.raises(InputError) as caught:
        read_prompts(path)
    assert (caught.value.code, caught.value.sentence) == (code, f"prompts={path} {sentence}")


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"prompts=.*none.txt cannot be read: No such file or directory"):
        read_prompts(tmp_path / "none.txt")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        read_prompts(tmp_path)
    monkeypatch.setattr(module, "LARGEST", 2**20)
    with pytest.raises(InputError, match=r"has more than 1 MB: split it up"):
        read_prompts(_written(tmp_path, bytes(2**20 + 1)))


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Red apple", "red-apple"),
        ("  slice of pizza, with cheese!  ", "slice-of-pizza-with-cheese"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "picture"),
        ("🍎", "picture"),
        ("红苹果 Ärger ﬁsh", "红苹果-ärger-fish"),
        ('\x00\n\u202e\u200b/\\:*?"<>|', "picture"),
        ("x" * 2000, "x" * 40),
        ("a very long prompt that goes on about many things", "a-very-long-prompt-that-goes-on-about"),
        ("𝒜" * 5, "aaaaa"),
        ("𓀀" * 60, "𓀀" * 30),
        ("\ud800red", "red"),
    ],
)
def test_names_can_be_read(prompt: str, name: str) -> None:
    assert stem_of(prompt) == name


@given(st.text(st.characters(), max_size=100))
def test_any_prompt_gives_a_safe_short_name(prompt: str) -> None:
    name = stem_of(prompt)
    assert name
    assert len(name) <= 40
    assert len(name.encode("utf-8")) <= 120
    assert not re.search(r"[\x00-\x2c./\\:*?\"<>|\x7f\u202a-\u202e\u2066-\u2069\s]", name)
    assert not name.startswith("-")
