"""A person's own pictures: a folder of 5 to 20 with captions, and the training samples of an adapter.

A caption is the line of metadata.jsonl that names the picture (file_name, text: Hugging Face's imagefolder), else the
text beside it (apple.jpg, apple.txt), else its file's name.
Legend: N pictures, K texts of one, P prior pictures, L latent channels, h, w of latents, T tokens, D of their states.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.imagegen.data.pixels import decode_image
from apps.imagegen.reasons import OWN_PICTURES
from core.errors import InputError
from core.text.quoting import in_quotes

FEWEST, MOST = 5, 20
METADATA = "metadata.jsonl"
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_OTHERS = (".avif", ".bmp", ".gif", ".heic", ".heif", ".jxl", ".psd", ".raw", ".svg", ".tif", ".tiff")
_LARGEST_MB = 64
_LONGEST = 1000  # characters of a caption
_CAMERA = re.compile(r"(?i)(dsc|dscn|img|image|mvimg|photo|pic|picture|pxl|screenshot|untitled|wa)?[\W\d_]*")
_WORDLESS = (
    0.1  # share of prior samples without a caption, for guidance (Ho & Salimans 2022, arXiv:2207.12598)
)


@dataclass(frozen=True, eq=False)
class OwnPicture:
    """A picture with its caption, which is empty where nobody gave it words. rgb_HWC: uint8."""

    file: str
    caption: str
    rgb_HWC: np.ndarray


@dataclass(frozen=True)
class Refused:
    """A picture that was set aside."""

    file: str
    code: str
    sentence: str


def read_own_pictures(folder: Path, size: tuple[int, int]) -> tuple[list[OwnPicture], list[Refused]]:
    """Return the pictures of a folder, sorted by name, their middle cut out at (width, height), and those set aside.

    Folders inside, hidden files and files of other kinds do not count. Raises InputError: images_missing (no such
    folder), images_few, images_many, captions_row, captions_file, and those of a file of text for metadata.jsonl. Set
    aside with the codes of decode_image, image_unreadable, image_file_too_large, caption_too_long, and those of a file
    of text: caption_unreadable, caption_file_too_large, caption_not_utf8.
    """
    files = _files(folder)
    if len(files) > MOST:
        raise OWN_PICTURES("images_many", folder=folder, count=len(files), fewest=FEWEST, most=MOST)
    text_by_file = _metadata(folder, {path.name for path in files})
    pictures, refused = [], []
    for path in files:
        try:
            pictures.append(OwnPicture(path.name, _caption(path, text_by_file), _pixels(path, size)))
        except InputError as error:
            refused.append(Refused(path.name, error.code, f"{in_quotes(path.name, 80)}: {error.sentence}"))
    if len(pictures) < FEWEST:
        first = f"; {refused[0].sentence}" if refused else ""
        count = len(pictures)
        raise OWN_PICTURES("images_few", folder=folder, count=count, fewest=FEWEST, most=MOST, first=first)
    return pictures, refused


def check_token(token: str) -> str:
    """Return the word that calls for an adapter, spaces tidied. Raises InputError token_unreadable."""
    tidy = " ".join(token.split())
    if not tidy or not tidy.isprintable() or len(tidy) > 100:
        raise OWN_PICTURES("token_unreadable", token=in_quotes(token, 80))
    return tidy


def texts_with(caption: str, token: str) -> list[str]:
    """Return the texts that a picture is learned by: the token before its caption and behind it."""
    return [f"{token}, {caption}", f"{caption}, {token}"] if caption else [token]


def class_prompt(caption: str, token: str) -> str:
    """Return what the same is called without the new word: "<bob> dog" without a caption is a dog."""
    return caption or " ".join(re.sub(r"<[^>]*>", " ", token).split()) or "picture"


@dataclass(frozen=True, eq=False)
class OwnSamples:
    """Training samples of an adapter: own pictures by their texts, and prior ones, which should stay as they are.

    own_NLhw, own_state_NKTD, prior_PLhw, prior_state_PTD: float32 and float16. empty_TD: state of the empty text.
    prior_weight: of the prior samples beside the own ones. Source: Ruiz et al. 2022, arXiv:2208.12242.
    """

    own_NLhw: np.ndarray
    own_state_NKTD: Sequence[np.ndarray]
    prior_PLhw: np.ndarray
    prior_state_PTD: np.ndarray
    empty_TD: np.ndarray
    prior_weight: float

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a sample: (L, h, w) float32, (T, D) float16."""
        share = self.prior_weight / (1.0 + self.prior_weight) if len(self.prior_PLhw) else 0.0
        if rng.random() < share:
            index = int(rng.integers(len(self.prior_PLhw)))
            state_TD = self.empty_TD if rng.random() < _WORDLESS else self.prior_state_PTD[index]
            return self.prior_PLhw[index], state_TD
        index = int(rng.integers(len(self.own_NLhw)))
        texts_KTD = self.own_state_NKTD[index]
        return self.own_NLhw[index], texts_KTD[int(rng.integers(len(texts_KTD)))]


def _files(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise OWN_PICTURES("images_missing", folder=folder, cause=error.strerror) from error
    suffixes = (*_SUFFIXES, *_OTHERS)
    return [
        path for path in paths if path.suffix.lower() in suffixes and path.is_file() and path.name[0] != "."
    ]


def _metadata(folder: Path, files: set[str]) -> dict[str, str]:
    path = folder / METADATA
    if not path.exists():
        return {}
    text_by_file = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not all(
            isinstance(row.get(key), str) for key in ("file_name", "text")
        ):
            raise OWN_PICTURES("captions_row", line=number, path=path)
        if row["file_name"] not in files:
            raise OWN_PICTURES("captions_file", line=number, path=path, name=in_quotes(row["file_name"], 80))
        text_by_file[row["file_name"]] = row["text"]
    return text_by_file


def _caption(path: Path, text_by_file: Mapping[str, str]) -> str:
    beside = path.with_suffix(".txt")
    if path.name in text_by_file:
        text = text_by_file[path.name]
    elif beside.is_file():
        text = _text(beside)
    else:
        text = "" if _CAMERA.fullmatch(path.stem) else re.sub(r"[-_]+", " ", path.stem)
    tidy = " ".join(text.split())
    if not tidy.isprintable() or len(tidy) > _LONGEST:
        raise OWN_PICTURES("caption_too_long", count=len(tidy), most=_LONGEST)
    return tidy


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > 1_000_000:
            raise OWN_PICTURES("caption_file_too_large", name=path.name)
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OWN_PICTURES("caption_unreadable", name=path.name, cause=error.strerror) from error
    except UnicodeDecodeError as error:
        raise OWN_PICTURES("caption_not_utf8", name=path.name) from error


def _pixels(path: Path, size: tuple[int, int]) -> np.ndarray:
    try:
        if path.stat().st_size > _LARGEST_MB * 1_000_000:
            raise OWN_PICTURES("image_file_too_large", most=_LARGEST_MB)
        data = path.read_bytes()
    except OSError as error:
        raise OWN_PICTURES("image_unreadable", cause=error.strerror) from error
    return decode_image(data, size, fit="crop")
