"""Images come in the order in which they were asked for, few at a time, and giving up cancels the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import RecipeError
from apps.imagegen.models.drawing import ImageResult, ImageSpec, draw_all
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_folder import load_pipeline
from core.errors import InternalFault
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("model"))), rows=4, waiting=3) as made:
        yield made


def test_images_come_in_their_order_and_never_more_at_once_than_reported(engine: Engine) -> None:
    taken = []

    def wanted() -> Iterator[ImageSpec]:
        for seed in range(8):
            taken.append(seed)
            yield ImageSpec(Recipe("red apple", seed=seed, steps=8 - seed))

    ahead = []
    drawn = []
    for one in draw_all(engine, wanted(), 3):
        ahead.append(len(taken) - len(drawn))
        drawn.append(one)
    assert [one.recipe.seed for one in drawn] == list(range(8))
    assert max(ahead) == 3
    assert all(one.recipe.model == engine.pipeline.digest for one in drawn)
    alone = engine.submit(Recipe("red apple", seed=5, steps=3)).result()
    assert np.array_equal(drawn[5].picture(), alone)


def test_giving_up_cancels_what_is_under_way(engine: Engine) -> None:
    images = draw_all(engine, (ImageSpec(Recipe("red apple", seed=n, steps=50)) for n in range(9)), 3)
    next(images)
    images.close()
    assert engine.submit(Recipe("red apple", steps=1)).result().shape == (32, 32, 3)
    running, waiting = engine.busy()
    assert running <= 1, "the last one itself at most, which it may not have left yet"
    assert waiting == 0


def test_what_the_engine_refuses_is_raised(engine: Engine) -> None:
    with pytest.raises(RecipeError, match="steps is 0"):
        list(draw_all(engine, [ImageSpec(Recipe("red apple", steps=0))], 1))


def test_an_image_that_failed_says_why() -> None:
    wanted = ImageSpec(Recipe("red apple"))
    with pytest.raises(InternalFault, match="it broke"):
        ImageResult(wanted, wanted.recipe, InternalFault("drawing_failed", "it broke")).picture()
