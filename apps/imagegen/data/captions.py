"""What a picture may be called: several captions of it, each with its share of training samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black")
_NAME, _ARTICLE, _COLOUR, _NAME_AND_TAGS, _TAGS, _TAG = 0.35, 0.15, 0.2, 0.18, 0.06, 0.06
_LISTS = 3  # lists of tags drawn of each picture
_SINGLE = 4  # single tags drawn of each picture


@dataclass(frozen=True)
class Caption:
    """One text of a picture; the shares of all its texts sum to 1."""

    text: str
    share: float


def captions_of(
    name: str, tags: Sequence[str], colour: str | None, rng: np.random.Generator
) -> list[Caption]:
    """Return the captions of a picture.

    name: as the set calls it. tags: further words, in any order. colour: of most of it, None where there is no one;
    a name that says a colour itself gets no second one.
    """
    name = plain_name(name)
    own = None if colour is None or colour in name.lower().split() else colour
    texts: list[tuple[str, float]] = [(name, _NAME), (f"{_article(name)} {name}", _ARTICLE)]
    if own:
        texts += [(f"{own} {name}", _COLOUR * 0.6), (f"{_article(own)} {own} {name}", _COLOUR * 0.4)]
    others = [tag for tag in tags if tag.lower() not in name.lower()]
    if others:
        for share, lead in ((_NAME_AND_TAGS, f"{name}, "), (_TAGS, "")):
            for _ in range(_LISTS):
                some = rng.permutation(others)[: int(rng.integers(1, 4))]
                texts.append((lead + ", ".join(some.tolist()), share / _LISTS))
        single = rng.permutation(others)[:_SINGLE].tolist()
        texts += [(f"{own} {tag}" if own else tag, _TAG / len(single)) for tag in single]
    return _shared(texts)


def captions_in_colour(name: str, tags: Sequence[str], colour: str) -> list[Caption]:
    """Return captions that name the colour of a recoloured picture, and no other one."""
    bare = " ".join(word for word in plain_name(name).split() if word.lower() not in COLOURS)
    texts = [(f"{colour} {bare}", 0.6), (f"{_article(colour)} {colour} {bare}", 0.25)]
    others = [tag for tag in tags if tag.lower() not in name.lower() and tag.lower() not in COLOURS][:_SINGLE]
    texts += [(f"{colour} {tag}", 0.15 / len(others)) for tag in others]
    return _shared(texts)


def plain_name(name: str) -> str:
    """Return a name as a person would type it."""
    return " ".join(name.replace(":", ",").replace("’", "'").split())


def _shared(texts: Sequence[tuple[str, float]]) -> list[Caption]:
    """Put equal texts together and make the shares sum to 1."""
    share_by_text: dict[str, float] = {}
    for text, share in texts:
        share_by_text[text] = share_by_text.get(text, 0.0) + share
    total = sum(share_by_text.values())
    return [Caption(text, share / total) for text, share in share_by_text.items()]


def _article(words: str) -> str:
    return "an" if words[:1].lower() in "aeiou" else "a"
