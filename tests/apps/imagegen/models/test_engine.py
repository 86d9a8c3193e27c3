from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import Cancelled, EngineClosed, QueueFull, RecipeError
from apps.imagegen.models import engine_core, self_test
from apps.imagegen.models.batch import DenoisingState
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.job import Event
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from core.errors import InternalFault
from tests.apps.imagegen.gate import APPLE, SECONDS, Gate
from tests.apps.imagegen.tiny import tiny_pipeline, tiny_sd15

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tiny") / "ours"))


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the self-test, which has tests of its own."""
    monkeypatch.setattr(self_test, "prove", lambda *_: (4, 8, 16))


@pytest.fixture
def engine(pipeline: Pipeline, proven: None) -> Iterator[Engine]:
    with Engine(pipeline) as opened:
        yield opened


def test_a_folder_of_stable_diffusion_1_5_draws(proven: None, tmp_path: Path) -> None:
    sd15 = load_pipeline(tiny_sd15(tmp_path / "sd15"))
    with Engine(sd15) as engine:
        jobs = [engine.submit(Recipe("red apple", seed=seed, steps=5)) for seed in (1, 1, 2)]
        one, same, other = (job.result(SECONDS) for job in jobs)
    assert (one.shape, one.dtype) == ((32, 32, 3), np.uint8)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_images_join_and_leave_a_batch_between_steps(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[list[int]] = []
    predict = engine_core.predict

    def watched(pipeline: Pipeline, drawings: list[DenoisingState], sizes: tuple[int, ...]) -> Any:
        shared.append([drawing.recipe.seed for drawing in drawings])
        return predict(pipeline, drawings, sizes)

    monkeypatch.setattr(engine_core, "predict", watched)
    gate = Gate("step")
    with gate.held(engine, replace(APPLE, seed=1, steps=5)):
        late = engine.submit(replace(APPLE, seed=2, steps=2, scheduler="euler", guidance=1.0))
    late.result(SECONDS)
    engine.close()
    assert shared == [[1], [1, 2], [1, 2], [1], [1]]


def test_no_more_rows_share_a_batch_than_fit_and_the_oldest_come_first(
    pipeline: Pipeline, proven: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    predict = engine_core.predict

    def watched(pipeline: Pipeline, drawings: list[DenoisingState], sizes: tuple[int, ...]) -> Any:
        rows.append(sum(drawing.rows for drawing in drawings))
        return predict(pipeline, drawings, sizes)

    monkeypatch.setattr(engine_core, "predict", watched)
    ended: list[int] = []

    def note(event: Event) -> None:
        if event.kind == "done":
            ended.append(event.job.recipe.seed)

    with Engine(pipeline, observe=note) as engine:
        gate = Gate()
        with gate.held(engine, replace(APPLE, steps=2)):
            for seed in range(1, 14):
                engine.submit(replace(APPLE, seed=seed, steps=2, guidance=1.0 if seed % 4 == 0 else 4.0))
            assert engine.busy() == (1, 13)
    assert max(rows) == 16
    assert ended == list(range(14))


def test_groups_of_other_sizes_take_turns(engine: Engine) -> None:
    ended: list[str] = []

    def note(name: str) -> Callable[[Event], None]:
        return lambda event: ended.append(name) if event.kind == "done" else None

    gate = Gate()
    with gate.held(engine):
        for i in range(12):
            engine.submit(replace(APPLE, seed=i, steps=8), on_event=note("many"))
        engine.submit(replace(APPLE, width=48, steps=8), on_event=note("one"))
    engine.close()
    assert len(ended) == 13
    assert ended.index("one") < 12, "the lone one of another size does not wait for all others"


def test_a_cancelled_image_frees_its_place_within_one_step(engine: Engine) -> None:
    metadata: list[tuple[str, int]] = []
    gate = Gate("step")

    def on_event(event: Event) -> None:
        metadata.append((event.kind, event.step))
        gate(event)

    job = engine.submit(replace(APPLE, steps=100), on_event=on_event)
    assert gate.reached.wait(SECONDS)
    other = engine.submit(APPLE)
    job.cancel()
    gate.opened.set()
    with pytest.raises(Cancelled, match="the picture was cancelled") as caught:
        job.result(SECONDS)
    assert caught.value.code == "cancelled"
    assert [kind for kind, _ in metadata] == ["started", "step", "cancelled"]
    assert other.result(SECONDS).shape == (32, 32, 3)
    job.cancel()
    other.cancel()
    assert other.done(), "what is done stays done"


def test_a_waiting_image_is_cancelled_before_it_begins(engine: Engine) -> None:
    kinds: list[str] = []
    gate = Gate()
    with gate.held(engine) as held:
        job = engine.submit(APPLE, on_event=lambda event: kinds.append(event.kind))
        job.cancel()
    with pytest.raises(Cancelled):
        job.result(SECONDS)
    assert kinds == ["cancelled"]
    assert held.result(SECONDS).shape == (32, 32, 3)


def test_a_fault_of_one_image_is_its_own(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = engine.submit(APPLE).result(SECONDS)
    picture, predict = DenoisingState.picture, engine_core.predict

    def no_numbers(drawing: DenoisingState, *rest: Any) -> np.ndarray:
        if drawing.recipe.seed == 13:
            raise InternalFault("picture_not_finite", "no numbers")
        return picture(drawing, *rest)

    def no_answer(pipeline: Pipeline, drawings: list[DenoisingState], sizes: tuple[int, ...]) -> Any:
        if any(drawing.recipe.seed == 14 for drawing in drawings):
            raise RuntimeError("secret prompt")
        return predict(pipeline, drawings, sizes)

    def deaf(event: Event) -> None:
        if event.kind == "step":
            raise ZeroDivisionError

    monkeypatch.setattr(DenoisingState, "picture", no_numbers)
    monkeypatch.setattr(engine_core, "predict", no_answer)
    gate, events = Gate(), []
    with gate.held(engine, replace(APPLE, seed=1)) as first:
        unseen = engine.submit(replace(APPLE, seed=13), on_event=events.append)
        unanswered = engine.submit(replace(APPLE, seed=14))
        unheard = engine.submit(replace(APPLE, seed=15), on_event=deaf)
        fine = engine.submit(APPLE)
    assert np.array_equal(fine.result(SECONDS), wanted)
    assert first.result(SECONDS).shape == (32, 32, 3)
    for job, code, words in (
        (unseen, "picture_not_finite", "no numbers"),
        (unanswered, "drawing_failed", "the picture could not be drawn: RuntimeError"),
        (unheard, "drawing_failed", "ZeroDivisionError"),
    ):
        with pytest.raises(InternalFault) as caught:
            job.result(SECONDS)
        assert caught.value.code == code
        assert words in caught.value.sentence
        assert "secret" not in caught.value.sentence
    assert events[-1].kind == "failed"
    assert events[-1].error is not None
    assert np.array_equal(engine.submit(APPLE).result(SECONDS), wanted), "the next request is unharmed"


def test_whoever_fails_to_hear_of_the_end_gets_no_image(engine: Engine) -> None:
    def deaf(event: Event) -> None:
        if event.kind == "done":
            raise KeyError("gone")

    job = engine.submit(APPLE, on_event=deaf)
    with pytest.raises(KeyError):
        job.result(SECONDS)
    assert engine.submit(APPLE).result(SECONDS).shape == (32, 32, 3)


def test_an_observer_that_fails_disturbs_nobody(pipeline: Pipeline, proven: None) -> None:
    def broken(event: Event) -> None:
        raise ValueError(event.kind)

    with Engine(pipeline, observe=broken) as engine:
        assert engine.submit(APPLE).result(SECONDS).shape == (32, 32, 3)


def test_events_tell_of_every_step(engine: Engine) -> None:
    events: list[Event] = []
    job = engine.submit(replace(APPLE, steps=5), on_event=events.append)
    rgb_HWC = job.result(SECONDS)
    assert [(event.kind, event.step, event.steps) for event in events] == [
        ("started", 0, 5),
        *[("step", i, 5) for i in range(1, 6)],
        ("done", 5, 5),
    ]
    assert events[-1].rgb_HWC is rgb_HWC
    seconds = [event.seconds for event in events]
    assert seconds == sorted(seconds)
    assert all(event.job is job for event in events)


@pytest.mark.parametrize("scheduler", ["ddim", "unipc", "euler_a"])
def test_previews_come_early_and_change_nothing(engine: Engine, scheduler: str) -> None:
    recipe = replace(APPLE, steps=12, scheduler=scheduler)
    plain = engine.submit(recipe).result(SECONDS)
    events: list[Event] = []
    shown = engine.submit(recipe, previews=3, on_event=events.append).result(SECONDS)
    assert np.array_equal(shown, plain)
    previews = [event for event in events if event.kind == "preview"]
    assert [event.step for event in previews] == [1, 5, 8]
    far = [
        np.abs(event.rgb_HWC.astype(int) - plain).mean() for event in previews if event.rgb_HWC is not None
    ]
    assert far[0] > far[2], "they come nearer to the end"


def test_a_full_queue_says_when_to_come_again(pipeline: Pipeline, proven: None) -> None:
    with Engine(pipeline, waiting=2) as engine:
        gate = Gate()
        with gate.held(engine):
            waiting = [engine.submit(APPLE) for _ in range(2)]
            with pytest.raises(QueueFull, match="2 pictures wait already: try again in 1 s") as caught:
                engine.submit(APPLE)
            assert (caught.value.code, caught.value.retry_after_s) == ("queue_full", 1.0)
            waiting[0].cancel()
        assert waiting[1].result(SECONDS).shape == (32, 32, 3)
        assert engine.submit(APPLE).result(SECONDS).shape == (32, 32, 3), "there is room again"


def test_a_closing_engine_draws_what_it_took(pipeline: Pipeline, proven: None) -> None:
    engine = Engine(pipeline)
    jobs = [engine.submit(replace(APPLE, seed=seed)) for seed in range(10)]
    engine.close()
    assert all(job.done() for job in jobs)
    assert len({job.result().tobytes() for job in jobs}) == 10
    with pytest.raises(EngineClosed, match="the engine is closing") as caught:
        engine.submit(APPLE)
    assert caught.value.code == "engine_closed"
    engine.close()


def test_or_it_gives_up_what_it_took(pipeline: Pipeline, proven: None) -> None:
    engine = Engine(pipeline)
    gate = Gate()
    with gate.held(engine, replace(APPLE, steps=100)) as running:
        waiting = engine.submit(APPLE)
        closing = threading.Thread(target=engine.close, kwargs={"drain": False})
        closing.start()
        while not (running.cancelled and waiting.cancelled):
            closing.join(0.01)
    closing.join(SECONDS)
    for job in (running, waiting):
        with pytest.raises(Cancelled):
            job.result(0)


def test_an_engine_that_cannot_prove_itself_does_not_open(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> tuple[int, ...]:
        raise MemoryError

    monkeypatch.setattr(self_test, "prove", broken)
    with pytest.raises(MemoryError):
        Engine(pipeline)


def test_an_engine_that_dies_lets_nobody_wait(
    pipeline: Pipeline, proven: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(pipeline)
    gate = Gate()
    heard: list[Event] = []
    with gate.held(engine) as running:
        waiting = engine.submit(APPLE, on_event=heard.append)

        def dies(*_: object) -> None:
            raise SystemExit

        monkeypatch.setattr(engine_core, "predict", dies)
    for job in (running, waiting):
        with pytest.raises(EngineClosed, match="the engine ended before this picture was drawn"):
            job.result(SECONDS)
    assert heard[-1].kind == "failed"
    with pytest.raises(EngineClosed):
        engine.submit(APPLE)
    engine.close()


@pytest.mark.parametrize("sizes", [(), (16,), (4, 8)])
def test_where_batches_are_not_alike_images_are_drawn_in_those_that_are(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    monkeypatch.setattr(self_test, "prove", lambda *_: sizes)
    rows: list[tuple[int, tuple[int, ...]]] = []
    predict = engine_core.predict

    def watched(pipeline: Pipeline, drawings: list[DenoisingState], sizes: tuple[int, ...]) -> Any:
        rows.append((len(drawings), tuple(sizes)))
        return predict(pipeline, drawings, sizes)

    monkeypatch.setattr(engine_core, "predict", watched)
    with Engine(pipeline) as engine:
        gate = Gate()
        with gate.held(engine):
            jobs = [engine.submit(replace(APPLE, seed=seed)) for seed in range(9)]
    assert len({job.result(SECONDS).tobytes() for job in jobs}) == 9
    assert {used for _, used in rows} == {sizes or (4,)}
    assert max(many for many, _ in rows) == {(): 1, (16,): 8, (4, 8): 4}[sizes]


def test_texts_are_read_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    states = Pipeline.states

    def watched(pipeline: Pipeline, texts: list[str], chunks: int) -> Any:
        read.extend(texts)
        return states(pipeline, texts, chunks)

    monkeypatch.setattr(Pipeline, "states", watched)
    images = [
        engine.submit(recipe).result(SECONDS) for recipe in (APPLE, APPLE, replace(APPLE, negative="blue"))
    ]
    assert read == ["", "red apple", "blue"]
    assert np.array_equal(images[0], images[1]), "what is kept is what was read"


def test_a_bad_recipe_never_reaches_the_queue(engine: Engine) -> None:
    for recipe, code in (
        (replace(APPLE, prompt=""), "prompt_empty"),
        (replace(APPLE, guidance=float("nan")), "guidance_range"),
        (replace(APPLE, adapter="clay"), "adapters_absent"),
        (replace(APPLE, strength=0.5, image_sha256="0" * 64), "image_missing"),
    ):
        with pytest.raises(RecipeError) as caught:
            engine.submit(recipe)
        assert caught.value.code == code
    assert engine.busy() == (0, 0)
