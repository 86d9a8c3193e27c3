from __future__ import annotations

import pytest

from apps.imagegen.config import SCHEDULERS, ImagegenConfig, size_of
from core.errors import ConfigError


def test_defaults_draw_by_a_prompt() -> None:
    cfg = ImagegenConfig(stage="generate", prompt="red apple", output="out")
    assert cfg.scheduler in SCHEDULERS
    assert cfg.size == "auto"


@pytest.mark.parametrize(
    "given", [{}, {"prompt": "a", "replay": "b.png"}, {"prompt": "a", "prompts": "b.txt"}]
)
def test_what_to_draw_is_said_once(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="say what to draw by one of prompt=, prompts=FILE and replay="):
        ImagegenConfig(stage="generate", output="out", **given)


@pytest.mark.parametrize("prompt", ["", "  ", "\n"])
def test_an_empty_prompt_is_refused(prompt: str) -> None:
    with pytest.raises(ConfigError, match="prompt= is empty: say what to draw"):
        ImagegenConfig(stage="generate", output="out", prompt=prompt)


def test_a_mask_needs_a_picture() -> None:
    with pytest.raises(ConfigError, match=r"mask= says where to paint in a picture: add image="):
        ImagegenConfig(stage="generate", prompt="a", mask="m.png")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"guidance": float("nan")}, "guidance=nan is out of range: allowed is 0 to 30"),
        ({"n": 0}, "n=0 is out of range: allowed is 1 to 1000 pictures"),
        ({"scheduler": "magic"}, "scheduler=magic is not one of ddim"),
        ({"strength": 0.0}, "strength=0.0 is out of range: allowed is more than 0 and at most 1"),
        ({"seed": -1}, "seed=-1 is out of range"),
    ],
)
def test_values_out_of_range_are_named(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ImagegenConfig(stage="generate", prompt="a", **given)
    assert caught.value.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("text", "size"), [("auto", (0, 0)), ("128x96", (128, 96)), (" 64X32 ", (64, 32)), ("64×32", (64, 32))]
)
def test_sizes_can_be_read(text: str, size: tuple[int, int]) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "12", "12x", "x12", "1x2x3", "-1x2", "1e3x5", "١٢x٣٤", "9999999x1"])
def test_other_texts_are_no_size(text: str) -> None:
    with pytest.raises(
        ConfigError, match="is not a size: write WIDTHxHEIGHT in pixels, such as 128x128, or auto"
    ):
        size_of(text)
