"""Own pictures: where captions come from, what is set aside or refused, and which samples are drawn."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from apps.imagegen.data.own_pictures import (
    OwnSamples,
    check_token,
    class_prompt,
    read_own_pictures,
    texts_with,
)
from core.errors import InputError

SIZE = (16, 16)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def _png(colour: tuple[int, int, int] = RED, size: tuple[int, int] = (20, 20), kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a-red_apple", "b", "c", "d", "e"):
        (tmp_path / f"{name}.png").write_bytes(_png())
    return tmp_path


def _refused(folder: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_own_pictures(folder, SIZE)
    assert "\n" not in caught.value.sentence
    return caught.value


def test_captions_come_from_the_list_then_the_text_beside_then_the_name(folder: Path) -> None:
    (folder / "b.txt").write_text("\ufeff a green\n  pear ", encoding="utf-8")
    (folder / "c.txt").write_text("not this", encoding="utf-8")
    rows = [{"file_name": "c.png", "text": "梨"}, {"file_name": "d.png", "text": "", "more": 1}]
    lines = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "metadata.jsonl").write_text(lines + "\n", encoding="utf-8")
    (folder / "IMG_2041.JPG").write_bytes(_png(kind="JPEG"))
    (folder / "x.webp").write_bytes(_png(kind="WEBP"))
    pictures, refused = read_own_pictures(folder, SIZE)
    assert refused == []
    assert {one.file: one.caption for one in pictures} == {
        "IMG_2041.JPG": "",
        "a-red_apple.png": "a red apple",
        "b.png": "a green pear",
        "c.png": "梨",
        "d.png": "",
        "e.png": "e",
        "x.webp": "x",
    }
    assert [one.file for one in pictures] == sorted(one.file for one in pictures)
    assert {one.rgb_HWC.shape for one in pictures} == {(16, 16, 3)}
    assert {one.rgb_HWC.dtype for one in pictures} == {np.dtype(np.uint8)}


@pytest.mark.parametrize(
    "name", ["IMG_1", "DSC00042", "2024-05-01 12.30.11", "PXL_20240501", "image (3)", "photo-1"]
)
def test_names_that_cameras_give_are_no_captions(folder: Path, name: str) -> None:
    (folder / f"{name}.png").write_bytes(_png())
    pictures, _ = read_own_pictures(folder, SIZE)
    assert {one.file: one.caption for one in pictures}[f"{name}.png"] == ""


def test_what_is_no_picture_does_not_count(folder: Path) -> None:
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.md").write_text("x")
    (folder / "f.png").mkdir()
    pictures, refused = read_own_pictures(folder, SIZE)
    assert (len(pictures), refused) == (5, [])


def test_the_middle_of_a_wide_picture_is_taken_undistorted(folder: Path) -> None:
    rgb_HWC = np.zeros((40, 120, 3), np.uint8)
    rgb_HWC[:, 40:80] = RED
    Image.fromarray(rgb_HWC).save(folder / "wide.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter: 120 high and 40 wide when upright
    Image.fromarray(rgb_HWC).save(folder / "turned.png", exif=exif)
    by_file = {one.file: one.rgb_HWC for one in read_own_pictures(folder, SIZE)[0]}
    for name in ("wide.png", "turned.png"):
        assert np.abs(by_file[name][2:-2, 2:-2].astype(int) - RED).max() < 8, name


def _bomb() -> bytes:
    stream = io.BytesIO()
    Image.new("1", (5000, 4000)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("z.png", b"", "image_empty"),
        ("z.png", _png()[:50], "image_broken"),
        ("z.jpg", b"<html>", "image_format"),
        ("z.gif", _png(kind="GIF"), "image_format"),
        ("z.heic", b"x", "image_format"),
        ("z.png", _bomb(), "image_too_large"),
    ],
)
def test_pictures_that_cannot_be_used_are_set_aside(
    folder: Path, file: str, content: bytes, code: str
) -> None:
    (folder / file).write_bytes(content)
    pictures, refused = read_own_pictures(folder, SIZE)
    assert len(pictures) == 5
    assert [(one.file, one.code) for one in refused] == [(file, code)]
    assert refused[0].sentence.startswith(f"'{file}': the image ")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xff\xfe\x00", "caption_not_utf8"),
        (b"a\x1bb", "caption_too_long"),
        (b"x" * 1001, "caption_too_long"),
        (b"x" * 1_000_001, "caption_file_too_large"),
    ],
)
def test_a_picture_whose_caption_cannot_be_read_is_set_aside(folder: Path, content: bytes, code: str) -> None:
    (folder / "z.png").write_bytes(_png())
    (folder / "z.txt").write_bytes(content)
    pictures, refused = read_own_pictures(folder, SIZE)
    assert len(pictures) == 5
    assert [(one.file, one.code) for one in refused] == [("z.png", code)]


def test_a_name_that_is_no_text_is_set_aside(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff-apple.png")).write_bytes(_png())
    refused = read_own_pictures(folder, SIZE)[1]
    assert [one.code for one in refused] == ["caption_too_long"]
    assert refused[0].sentence.isprintable()


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"{", "captions_row", "line 1 of"),
        (b'{"file_name": "b.png", "text": "x"}\n[]', "captions_row", "line 2 of"),
        (b'{"file_name": "b.png"}', "captions_row", "is not a JSON object with file_name and text"),
        (
            b'{"file_name": "b.png", "text": 5}',
            "captions_row",
            "is not a JSON object with file_name and text",
        ),
        (
            b'{"file_name": "../b.png", "text": "x"}',
            "captions_file",
            "names '../b.png', which is not a picture in this folder",
        ),
        (
            b'{"file_name": "no\\n.png", "text": "x"}',
            "captions_file",
            r"names 'no\n.png', which is not a picture in this folder",
        ),
        (b"\xff\xfe", "caption_not_utf8", "metadata.jsonl is not text in UTF-8"),
        (b" " * 1_000_001, "caption_file_too_large", "metadata.jsonl has more than 1 MB"),
    ],
)
def test_a_list_of_captions_that_cannot_be_read_is_refused(
    folder: Path, content: bytes, code: str, words: str
) -> None:
    (folder / "metadata.jsonl").write_bytes(content)
    refused = _refused(folder)
    assert refused.code == code
    assert words in refused.sentence


def test_too_few_too_many_and_no_folder_are_refused(folder: Path) -> None:
    (folder / "e.png").write_bytes(b"")
    refused = _refused(folder)
    assert refused.code == "images_few"
    assert (
        "holds 4 usable pictures (PNG, JPEG or WebP); 5 to 20 are wanted; 'e.png': the image is"
        in refused.sentence
    )
    for number in range(16):
        (folder / f"more-{number}.png").write_bytes(b"")
    assert _refused(folder).code == "images_many"
    assert "holds 21 pictures; 5 to 20 are wanted" in _refused(folder).sentence
    for path in (folder / "gone", folder / "b.png"):
        assert _refused(path).code == "images_missing"


@pytest.mark.parametrize("token", ["", "  ", "a\x07b", "\ud800", "x" * 101])
def test_words_that_cannot_be_typed_are_refused(token: str) -> None:
    with pytest.raises(InputError, match=r"is not a word: give one such as '<sketch> style'") as caught:
        check_token(token)
    assert caught.value.code == "token_unreadable"
    assert caught.value.sentence.isprintable()


def test_the_word_is_in_every_text_and_in_no_class_prompt() -> None:
    assert check_token("  <sketch>\n style ") == "<sketch> style"
    assert texts_with("red apple", "<sketch> style") == [
        "<sketch> style, red apple",
        "red apple, <sketch> style",
    ]
    assert texts_with("", "<bob> dog") == ["<bob> dog"]
    assert class_prompt("red apple", "<sketch> style") == "red apple"
    assert class_prompt("", "<bob> dog") == "dog"
    assert class_prompt("", "<bob>") == "picture"


def _samples(prior: int, weight: float) -> OwnSamples:
    return OwnSamples(
        own_NLhw=np.arange(1, 4, dtype=np.float32).reshape(3, 1, 1, 1),
        own_state_NKTD=[np.full((k, 2, 1), 10 * n + 10, np.float16) for n, k in enumerate((1, 2, 2))],
        prior_PLhw=-np.arange(1, prior + 1, dtype=np.float32).reshape(prior, 1, 1, 1),
        prior_state_PTD=-10 * np.ones((prior, 2, 1), np.float16),
        empty_TD=np.zeros((2, 1), np.float16),
        prior_weight=weight,
    )


@given(st.integers(0, 2**32 - 1))
def test_a_sample_keeps_picture_and_text_together(seed: int) -> None:
    latent, state = _samples(2, 0.5).draw(np.random.default_rng(seed))
    number, text = float(latent.squeeze()), set(state.ravel().tolist())
    assert text == {10 * number} if number > 0 else text in ({-10.0}, {0.0})


@pytest.mark.parametrize(
    ("prior", "weight", "share"), [(4, 1.0, 0.5), (4, 0.5, 1 / 3), (4, 0.0, 0.0), (0, 1.0, 0.0)]
)
def test_prior_samples_have_their_weight(prior: int, weight: float, share: float) -> None:
    rng, samples = np.random.default_rng(0), _samples(prior, weight)
    drawn = [samples.draw(rng) for _ in range(2000)]
    prior_ones = [state for latent, state in drawn if latent.squeeze() < 0]
    assert len(prior_ones) / 2000 == pytest.approx(share, abs=0.04)
    if share:
        assert np.mean([(state == 0).all() for state in prior_ones]) == pytest.approx(0.1, abs=0.04)
    assert {float(latent.squeeze()) for latent, _ in drawn} == {
        1.0,
        2.0,
        3.0,
        *(-n - 1.0 for n in range(prior) if share),
    }
