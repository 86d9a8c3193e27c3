"""stage=evaluate on a pipeline too small to draw, with judges whose verdict is known; the protocol is frozen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import apps.imagegen.evaluate as module
from apps.imagegen.config import EvaluateConfig, ImagegenConfig, ModelConfig
from apps.imagegen.data.captions import Caption
from apps.imagegen.data.pictures import HELD_OUT, TRAIN, Picture, PictureSet, everyday_prompts
from apps.imagegen.evaluate import (
    PROTOCOL,
    asked_of,
    chosen_prompts,
    judged_autoencoder,
    judged_likeness,
    judged_match,
    judged_scorer,
    run,
)
from apps.imagegen.models.inception import NETWORK
from apps.imagegen.models.judges import Judges
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from core.errors import InputError
from core.runs.folder import Run
from tests.apps.imagegen.tiny import tiny_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
EVERYDAY = [row["prompt"] for row in everyday_prompts()]


class Eyes:
    """Sees the mean colour of each quarter of a picture, in place of 2048 features."""

    def features(self, rgb_NHWC: np.ndarray) -> Tensor:
        quarter_NCyx = torch.nn.functional.adaptive_avg_pool2d(
            torch.as_tensor(rgb_NHWC).permute(0, 3, 1, 2).float() / 255.0, 2
        )
        return quarter_NCyx.flatten(1)


@dataclass
class Oracle:
    """Knows the prompt of each picture by its index, or tells nothing apart."""

    blind: bool = False
    digest: str = "0" * 64

    def scores(self, rgb_NHWC: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        if self.blind:
            return np.zeros((len(rgb_NHWC), len(texts)))
        return np.eye(len(texts))[np.arange(len(rgb_NHWC)) % len(texts)]


def pictures_made() -> PictureSet:
    """Return a picture of each everyday prompt to train on, and 20 held-out ones with a variant each."""
    made = [
        Picture(
            row["picture"],
            row["prompt"],
            row["prompt"],
            TRAIN,
            1.0,
            (Caption(row["prompt"], 1.0),),
            plain=True,
        )
        for row in everyday_prompts()
    ]
    for n in range(20):
        caption = (Caption(f"thing {n}", 1.0),)
        made.append(Picture(f"{n}", f"thing {n}", f"thing {n}", HELD_OUT, 1.0, caption, plain=True))
        made.append(Picture(f"{n}+red", f"thing {n}", f"thing {n}", HELD_OUT, 1.0, caption, plain=False))
    rng = np.random.default_rng(0)
    return PictureSet(tuple(made), rng.integers(0, 256, size=(len(made), 32, 32, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pipeline(model: Path) -> Pipeline:
    return load_pipeline(model)


def judges(*, blind: bool = False) -> Judges:
    return Judges(pictures_made(), Eyes(), Oracle(blind))  # type: ignore[arg-type]


def evaluated(model: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    made = judges()
    monkeypatch.setattr(module, "load_judges", lambda cache, edge, log: made)
    cfg = ImagegenConfig(
        "evaluate",
        output=str(output),
        steps=1,
        seed=2**63 - 1,  # pictures go on from 0
        model=ModelConfig(path=str(model), edge=64, device="cpu"),
        evaluate=EvaluateConfig(pictures=16),
    )
    record = Run(output.parent / f"{output.name}-run")
    with record.log:
        assert run(cfg, record) == 0
    assert json.loads((record.path / "metrics.json").read_text("utf-8"))
    result: dict[str, Any] = json.loads((output / "metrics.json").read_text("utf-8"))
    return result


def test_what_is_written_and_the_same_bytes_again(
    model: Path, pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = evaluated(model, tmp_path / "one", monkeypatch)
    assert sorted(result) == ["autoencoder", "caption_match", "drawn_by", "kid", "protocol", "scorer"]
    assert result["protocol"] == list(PROTOCOL)
    assert result["drawn_by"] == {
        "guidance": 4.0,
        "model": pipeline.digest,
        "name": pipeline.name,
        "pictures": 32 + 2 * 16,
        "scheduler": "ddim",
        "seed": 2**63 - 1,
        "steps": 1,
    }
    assert result["kid"]["network"] == NETWORK
    assert result["caption_match"]["drawn"] == [1.0, 1.0, 1.0]
    assert list(result["caption_match"]["by_prompt"]) == sorted(chosen_prompts(EVERYDAY))
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "metrics.json",
        "report.html",
        "sheet.png",
    ]
    page = (tmp_path / "one" / "report.html").read_text("utf-8")
    assert all(prompt in page for prompt in EVERYDAY)
    evaluated(model, tmp_path / "two", monkeypatch)
    for name in ("metrics.json", "report.html", "sheet.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_an_output_that_cannot_be_is_reported(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cfg = ImagegenConfig(
        "evaluate", output=str(tmp_path / "file" / "out"), model=ModelConfig(path=str(model))
    )
    record = Run(tmp_path / "run")
    with record.log, pytest.raises(InputError, match="lies below a file") as caught:
        run(cfg, record)
    assert caught.value.code == "output_unwritable"


def test_the_prompts_of_caption_match_are_fixed() -> None:
    assert chosen_prompts(EVERYDAY) == [
        *("red apple", "blue car", "birthday cake", "cat face", "sunflower", "hamburger", "house", "banana"),
        *("umbrella", "guitar", "bicycle", "butterfly", "crying face", "alarm clock", "key", "gold crown"),
    ]


def test_the_protocol_names_the_network_and_what_it_is_not() -> None:
    text = " ".join(PROTOCOL)
    assert NETWORK in text
    assert "neither the standard FID nor the standard KID" in text


def test_names_are_asked_of_both_sides_by_turns_and_of_no_variant() -> None:
    pictures = pictures_made()
    asked = [pictures.pictures[n] for n in asked_of(pictures, 60, 0)]
    assert [one.split for one in asked] == [TRAIN, HELD_OUT] * 30
    assert all(one.plain for one in asked)
    # 30 of 32 training pictures once each; 20 held-out ones, then the first 10 again
    assert len({one.code for one in asked if one.split == TRAIN}) == 30
    assert [one.code for one in asked[1:20:2]] == [one.code for one in asked[41:60:2]]
    assert asked_of(pictures, 60, 0) != asked_of(pictures, 60, 1)


def test_the_autoencoder_is_judged_on_held_out_pictures_as_drawn(pipeline: Pipeline) -> None:
    result, (before_NHWC, after_NHWC) = judged_autoencoder(pipeline, pictures_made(), 0)
    assert result["pictures"] == len(before_NHWC) == 20
    error_N = np.square(before_NHWC.astype(float) - after_NHWC).mean(axis=(1, 2, 3))
    psnr_N = 20.0 * np.log10(255.0) - 10.0 * np.log10(error_N)
    value, lower, upper = result["psnr_db"]
    assert value == pytest.approx(psnr_N.mean())
    assert result["least_db"] == pytest.approx(psnr_N.min())
    assert lower < value < upper


def test_likeness_beside_its_references(pipeline: Pipeline) -> None:
    """Noise of the same kind lies near; pictures that are all black do not."""
    made = judges()
    asked = asked_of(made.pictures, 40, 0)
    black_NHWC = np.zeros((40, 32, 32, 3), dtype=np.uint8)
    result = judged_likeness(pipeline, made, asked, black_NHWC, 0)
    assert (result["pictures"], result["held_out"]) == (40, 20)
    value, lower, upper = result["real"]
    assert lower < value < upper
    assert abs(value) < 0.01
    assert result["drawn"][1] > 0.1
    assert result["drawn_from_held_out_names"][1] > 0.1
    same = judged_likeness(pipeline, made, asked, made.pictures.rgb_NHWC[asked], 0)
    assert same["drawn"] == same["real"]


def test_caption_match_of_a_scorer_that_knows_and_of_one_that_is_blind() -> None:
    drawn_NHWC = np.zeros((64, 32, 32, 3), dtype=np.uint8)
    knows, blind = (judged_match(judges(blind=eyes), drawn_NHWC, EVERYDAY, 0) for eyes in (False, True))
    assert knows["drawn"] == knows["real"] == [1.0, 1.0, 1.0]
    assert knows["shuffled"][0] < 0.25
    assert knows["chance"] == 1 / 16
    assert (knows["pictures"], knows["real_pictures"]) == (64, 16)
    assert blind["drawn"] == blind["shuffled"] == blind["real"] == [0.0, 0.0, 0.0]
    assert set(blind["by_prompt"].values()) == {0.0}


def test_the_scorer_is_judged_on_held_out_pictures() -> None:
    assert judged_scorer(judges(), 0)["held_out"] == [1.0, 1.0, 1.0]
    result = judged_scorer(judges(blind=True), 0)
    assert result["held_out"] == [0.0, 0.0, 0.0]
    assert result["pictures"] == 20
