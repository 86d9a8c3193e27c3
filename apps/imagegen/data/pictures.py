"""The set of captioned pictures that the embedded model is trained on: emoji in Microsoft's Fluent style.

Flags, symbols, keycaps and components are left out. Skin tones and other colours of one picture share its weight, and
all that an owner has (man judge, woman judge, each skin tone) lies on one side of the split.
Legend: N pictures, H rows, W columns, C red, green, blue.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from apps.imagegen.data.captions import Caption, captions_in_colour, captions_of
from apps.imagegen.data.colours import HUES, main_hue, name_of, recoloured
from apps.imagegen.data.packages import FLUENT, WORDS, archive_of, files_of
from core.runs.arrays import read_arrays, write_arrays

VERSION = 2  # of what is prepared; a change of this file or of captions or colours counts it up
EVERYDAY = Path(__file__).parent / "everyday.csv"
TRAIN, HELD_OUT = "train", "held_out"
_HELD_OUT_PERCENT = 10
# groups of emojibase by number, with the weight of each picture among training samples
_WEIGHTS = {0: 1.0, 1: 0.35, 3: 1.3, 4: 1.3, 5: 1.0, 6: 1.2, 7: 1.0}
_EVERYDAY = 3.0  # times the samples of other pictures: what people ask for most
_RARE = ("family", "people holding hands", "couple", "kiss:", "clock", "thirty")
_RECOLOURED = (3, 4, 5, 6, 7)
_WHO = ("man", "woman", "men", "women", "person", "people", "boy", "girl", "mx", "mrs", "santa")
_TONES, _COLOURS = 0.3, 0.3  # share of a picture's samples that go to its variants


@dataclass(frozen=True)
class Picture:
    """One picture with its texts. weight: of its samples among those of all pictures."""

    code: str
    name: str
    owner: str
    split: str
    weight: float
    captions: tuple[Caption, ...]
    plain: bool  # as drawn: neither a skin tone nor another colour


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures with their pixels, rgb_NHWC uint8, on white."""

    pictures: tuple[Picture, ...]
    rgb_NHWC: np.ndarray

    def part(self, split: str, *, plain: bool = False) -> PictureSet:
        """Return one side of the split. plain: without skin tones and other colours."""
        chosen = [n for n, one in enumerate(self.pictures) if one.split == split and (one.plain or not plain)]
        return PictureSet(tuple(self.pictures[n] for n in chosen), self.rgb_NHWC[chosen])


def load_pictures(cache: Path, edge: int) -> PictureSet:
    """Return all pictures at edge × edge pixels, prepared once and kept below `cache`.

    Raises InputError as `archive_of` does.
    """
    entries = json.loads(files_of(archive_of(WORDS, cache), "en", "data.json")["data.json"])
    path = cache / f"pictures-{VERSION}-{edge}.npz"
    kept = read_arrays(path)
    if kept is None:
        kept = _prepare(entries, files_of(archive_of(FLUENT, cache), "assets", ".webp"), edge)
        write_arrays(path, kept)
    index_by_code = {code: index for index, code in enumerate(kept["code"].tolist())}
    rng = np.random.default_rng(VERSION)
    everyday = {row["picture"] for row in everyday_prompts()}
    pictures = [
        one for entry in entries for one in _variants(entry, kept["colour"], index_by_code, everyday, rng)
    ]
    order = [index_by_code[one.code] for one in pictures]
    return PictureSet(tuple(pictures), kept["rgb"][order])


def pictures_digest(pictures: PictureSet, seed: int) -> str:
    """Return a digest of training pictures and seed."""
    whole = hashlib.sha256(pictures.rgb_NHWC.tobytes())
    described = [
        [one.code, [[caption.text, caption.share] for caption in one.captions]] for one in pictures.pictures
    ]
    whole.update(json.dumps([seed, described]).encode())
    return whole.hexdigest()[:16]


def everyday_prompts() -> list[dict[str, str]]:
    """Return prompts that the model should know, each with the code of a picture that shows it."""
    with EVERYDAY.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def owner_of(name: str) -> str:
    """Return what a name speaks of, whoever does it and in whichever skin tone."""
    words = name.lower().split(":")[0].replace("-", " ").split()
    return " ".join(word for word in words if word not in _WHO) or "person"


def split_of(owner: str) -> str:
    """Return the side of the split, by a hash of the owner."""
    number = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:4], "big")
    return HELD_OUT if number % 100 < _HELD_OUT_PERCENT else TRAIN


def _prepare(
    entries: list[dict[str, Any]], webp_by_file: Mapping[str, bytes], edge: int
) -> dict[str, np.ndarray]:
    """Decode what is wanted, on white, and add other colours; colour: the main one of each, or nothing."""
    codes, colours, pixels = [], [], []
    for entry in entries:
        for code in _codes(entry):
            data = _file(code, webp_by_file)
            if data is None:
                continue
            rgb_HWC = _on_white(data, edge)
            hue = main_hue(rgb_HWC)
            codes.append(code)
            colours.append("" if hue is None else name_of(hue))
            pixels.append(rgb_HWC)
            if hue is None or code != entry["hexcode"] or entry["group"] not in _RECOLOURED:
                continue
            for name in HUES:
                if name != colours[-1]:
                    codes.append(f"{code}+{name}")
                    colours.append(name)
                    pixels.append(recoloured(rgb_HWC, HUES[name] - hue))
            colours[-len(HUES) :] = [name_of(hue), *(name for name in HUES if name != name_of(hue))]
    return {"code": np.array(codes), "colour": np.array(colours), "rgb": np.stack(pixels)}


def _codes(entry: Mapping[str, Any]) -> Iterator[str]:
    if entry.get("group") in _WEIGHTS:
        yield entry["hexcode"]
        yield from (skin["hexcode"] for skin in entry.get("skins", ()))


def _variants(
    entry: Mapping[str, Any],
    colour_N: np.ndarray,
    index_by_code: Mapping[str, int],
    everyday: set[str],
    rng: np.random.Generator,
) -> Iterator[Picture]:
    """Yield a picture, its skin tones and its other colours, as far as there are pixels of them."""
    code, name = entry["hexcode"], entry["label"]
    if code not in index_by_code:
        return
    owner = owner_of(name)
    split = TRAIN if code in everyday else split_of(owner)
    weight = _WEIGHTS[entry["group"]] * (0.25 if any(word in name for word in _RARE) else 1.0)
    weight *= _EVERYDAY if code in everyday else 1.0
    tones = [skin for skin in entry.get("skins", ()) if skin["hexcode"] in index_by_code]
    others = [f"{code}+{hue}" for hue in HUES if f"{code}+{hue}" in index_by_code]
    left = 1.0 - (_TONES if tones else 0.0) - (_COLOURS if others else 0.0)

    def one(its_code: str, its_name: str, share: float) -> Picture:
        colour = colour_N[index_by_code[its_code]] or None
        tags = entry.get("tags", ())
        if its_code in others and colour:
            captions = captions_in_colour(its_name, tags, colour)
        else:
            captions = captions_of(its_name, tags, colour, rng)
        return Picture(its_code, its_name, owner, split, weight * share, tuple(captions), its_code == code)

    yield one(code, name, left)
    for skin in tones:
        yield one(skin["hexcode"], skin["label"], _TONES / len(tones))
    for other in others:
        yield one(other, name, _COLOURS / len(others))


def _file(code: str, webp_by_file: Mapping[str, bytes]) -> bytes | None:
    """Return a picture's file; the two packages do not agree on where a code has a variation selector (fe0f)."""
    first, *rest = code.lower().split("-")
    for name in (code.lower(), code.lower().replace("-fe0f", ""), "-".join([first, "fe0f", *rest])):
        if f"{name}.webp" in webp_by_file:
            return webp_by_file[f"{name}.webp"]
    return None


def _on_white(data: bytes, edge: int) -> np.ndarray:
    drawn = Image.open(io.BytesIO(data)).convert("RGBA")
    ground = Image.new("RGBA", drawn.size, "white")
    ground.alpha_composite(drawn)
    return np.asarray(ground.convert("RGB").resize((edge, edge), Image.Resampling.LANCZOS))
