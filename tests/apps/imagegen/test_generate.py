"""Pictures come out as asked for, by name, with their recipe, twice the same; what is refused stops nothing else."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import apps.imagegen.generate as module
from apps.imagegen import picture_files
from apps.imagegen.config import ImagegenConfig, ModelConfig
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import RecipeError
from apps.imagegen.generate import generate, run
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.imagegen.pictures import Picture
from apps.imagegen.report.recipe_png import png_bytes, recipe_of
from core.errors import InputError, InternalFault
from core.runs.folder import Run
from tests.apps.imagegen.tiny import tiny_pipeline, tiny_sd15

# diffusers turns a tensor into an array in a way that NumPy 2 is about to leave
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("other"))


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_pipeline", _load)


_load = functools.cache(load_pipeline)


def _generate(model: Path, folder: Path, output: str = "out", **fields: Any) -> int:
    fields = {"steps": 2, "seed": 7, **fields}
    path = ModelConfig(path=str(model), device="cpu")
    record = Run(folder / "run")
    with record.log:
        return run(ImagegenConfig("generate", output=str(folder / output), model=path, **fields), record)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def _quarantined(folder: Path) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted(folder.iterdir())}


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def _file(folder: Path, name: str, content: bytes | str) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def _picture(folder: Path, name: str = "start.png", colour: tuple[int, int, int] = (200, 30, 30)) -> str:
    path = folder / name
    Image.new("RGB", (40, 20), colour).save(path)
    return str(path)


def test_pictures_hold_their_recipe_and_a_second_run_writes_the_same_bytes(
    model: Path, tmp_path: Path
) -> None:
    fields = {"prompt": "Red apple, please", "n": 2, "negative": "blue", "size": "48x32", "guidance": 2.5}
    assert _generate(model, tmp_path, **fields) == 0
    first = _bytes(tmp_path / "out")
    names = ["001_red-apple-please_seed-7.png", "002_red-apple-please_seed-8.png"]
    assert list(first) == [*names, "pictures.json", "sheet.png"]
    recipes = [recipe_of(first[name]) for name in names]
    assert recipes[0] == Recipe(
        "Red apple, please", "blue", 7, 48, 32, steps=2, guidance=2.5, model=recipes[0].model, text_chunks=1
    )
    assert recipes[1] == replace(recipes[0], seed=8)
    assert [_pixels(first[name]).shape for name in names] == [(32, 48, 3)] * 2
    assert not np.array_equal(_pixels(first[names[0]]), _pixels(first[names[1]]))
    listed = json.loads(first["pictures.json"])
    assert [(one["file"], Recipe.from_json(one["recipe"])) for one in listed] == list(
        zip(names, recipes, strict=True)
    )
    assert _generate(model, tmp_path, "again", **fields) == 0
    assert _bytes(tmp_path / "again") == first
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["pictures"], metrics["refused"], metrics["model"]) == (2, 0, recipes[0].model)


def test_a_picture_does_not_depend_on_what_else_is_drawn(model: Path, tmp_path: Path) -> None:
    lines = "\ufeffblue car\r\n\r\n# a remark\r\nred apple\r\n"
    assert _generate(model, tmp_path, "many", prompts=_file(tmp_path, "p.txt", lines), n=3) == 0
    assert _generate(model, tmp_path, "one", prompt="red apple", seed=8) == 0
    many, one = _bytes(tmp_path / "many"), _bytes(tmp_path / "one")
    assert [name for name in many if name[0] == "0"] == [
        "001_blue-car_seed-7.png", "002_blue-car_seed-8.png", "003_blue-car_seed-9.png",
        "004_red-apple_seed-7.png", "005_red-apple_seed-8.png", "006_red-apple_seed-9.png",
    ]  # fmt: skip
    assert many["005_red-apple_seed-8.png"] == one["001_red-apple_seed-8.png"]


def test_a_refused_prompt_is_set_aside_and_the_others_are_drawn(model: Path, tmp_path: Path) -> None:
    lines = f"red apple\n{'x' * 2001}\nblue \x07 car\nblue car\n"
    assert _generate(model, tmp_path, prompts=_file(tmp_path, "p.txt", lines)) == 4
    refused = _quarantined(tmp_path / "out" / "quarantine")
    assert refused == {
        "line-0002.json": {
            "id": "line-0002",
            "code": "prompt_too_long",
            "sentence": "the prompt has 2001 characters; at most 2000 are wanted",
            "files": ["p.txt"],
        },
        "line-0003.json": {
            "id": "line-0003",
            "code": "prompt_unreadable",
            "sentence": "the prompt has U+0007 at position 6, a character that is not text: leave it out",
            "files": ["p.txt"],
        },
    }
    assert sorted(name for name in _bytes(tmp_path / "out") if name[0] == "0") == [
        "001_red-apple_seed-7.png",
        "004_blue-car_seed-7.png",
    ]


def test_nothing_but_refused_prompts_is_bad_input(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _generate(model, tmp_path, prompts=_file(tmp_path, "p.txt", f"#\n{'x' * 2001}\n\x07\n"))
    assert caught.value.sentence == (
        "none of 2 prompts can be drawn; line 2: the prompt has 2001 characters; at most 2000 are wanted"
    )
    assert list(_quarantined(tmp_path / "out" / "quarantine")) == ["line-0002.json", "line-0003.json"]
    assert _bytes(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"size": "33x32"}, "size is 33x32; this model draws 32x32, 48x32, 32x48, 48x48"),
        ({"size": "99999x99999", "image": "start.png"}, "size is 99999x99999; this model draws"),
        ({"steps": 1001}, "steps is 1001; 1 to 1000 is wanted"),
        ({"negative": "\x00"}, "the negative has U+0000"),
        ({"adapter": "none.safetensors"}, "adapter=none.safetensors is not a file"),
        ({"image": "none.png"}, "image=none.png cannot be read: No such file or directory"),
        ({"image": "text.txt"}, "the image is not a PNG, JPEG or WebP: save it as one of these"),
        ({"image": "start.png", "mask": "small.png"}, "the mask has 8x8 pixels, and the image 40x20"),
    ],
)
def test_what_no_prompt_can_cure_is_reported_before_anything_is_drawn(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _picture(tmp_path)
    Image.new("L", (8, 8), 255).save(tmp_path / "small.png")
    _file(tmp_path, "text.txt", "no picture")
    prompts = _file(tmp_path, "p.txt", "red apple\nblue car\n")
    with pytest.raises(InputError) as caught:
        _generate(model, tmp_path, prompts=prompts, **fields)
    assert sentence in caught.value.sentence
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_reported(model: Path, tmp_path: Path) -> None:
    _file(tmp_path, "out", "a file")
    with pytest.raises(InputError, match="exists and is not a folder"):
        _generate(model, tmp_path, prompt="red apple")


def test_a_full_disk_keeps_what_is_written(model: Path, tmp_path: Path, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(230 * 1024))
    with pytest.raises(InputError) as caught:
        _generate(model, tmp_path, str(small_disk / "out"), prompt="red apple", n=20)
    assert caught.value.code == "output_full"
    left = sorted(path.name for path in (small_disk / "out").iterdir())
    assert left
    assert all(recipe_of((small_disk / "out" / name).read_bytes()).prompt == "red apple" for name in left)


def test_a_picture_to_start_from_and_a_mask(model: Path, tmp_path: Path) -> None:
    image = _picture(tmp_path)
    mask = Image.new("L", (40, 20), 0)
    mask.paste(255, (0, 0, 20, 20))
    mask.save(tmp_path / "mask.png")
    fields = {"prompt": "red apple", "image": image, "steps": 4, "strength": 0.5}
    fields |= {"size": "32x32", "fit": "stretch"}
    assert _generate(model, tmp_path, "a", **fields) == 0
    assert _generate(model, tmp_path, "b", **fields, mask=str(tmp_path / "mask.png")) == 0
    name = "001_red-apple_seed-7.png"
    free, painted = ((tmp_path / folder / name).read_bytes() for folder in "ab")
    assert recipe_of(free).strength == recipe_of(painted).strength == 0.5
    assert recipe_of(free).image_sha256 == recipe_of(painted).image_sha256
    assert recipe_of(painted).mask_sha256 is not None
    assert (_pixels(painted)[:, 17:] == (200, 30, 30)).all()
    assert not (_pixels(painted)[:, :15] == (200, 30, 30)).all()
    assert not (_pixels(free)[:, 17:] == (200, 30, 30)).all()


def test_probes_change_no_byte_and_show_each_word(model: Path, other: Path, tmp_path: Path) -> None:
    for index, folder in enumerate((model, other)):
        fields = {"prompts": _file(tmp_path, "p.txt", "red apples\nblue car\n"), "steps": 3}
        assert _generate(folder, tmp_path, f"{index}", **fields) == 0
        assert _generate(folder, tmp_path, f"{index}p", **fields, probes="attention") == 0
        plain, probed = _bytes(tmp_path / f"{index}"), _bytes(tmp_path / f"{index}p")
        extra = {name: probed.pop(name) for name in list(probed) if name.endswith("_attention.png")}
        assert probed == plain
        assert list(extra) == ["001_red-apples_seed-7_attention.png", "002_blue-car_seed-7_attention.png"]
        assert _pixels(extra["001_red-apples_seed-7_attention.png"]).std() > 5
        assert _generate(folder, tmp_path, f"{index}q", **fields, probes="attention") == 0
        assert {name: _bytes(tmp_path / f"{index}q")[name] for name in extra} == extra


def test_one_picture_that_fails_stops_no_other(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = Engine.submit

    def fails(engine: Engine, recipe: Recipe, **given: Any) -> Any:
        def on_event(event: object) -> None:
            raise InternalFault("drawing_failed", "it broke")

        return submit(engine, recipe, **given, on_event=on_event if recipe.seed == 8 else None)

    monkeypatch.setattr(Engine, "submit", fails)
    with pytest.raises(InternalFault, match="it broke"):
        _generate(model, tmp_path, prompt="red apple", n=3)
    assert list(_bytes(tmp_path / "out")) == [
        "001_red-apple_seed-7.png", "003_red-apple_seed-9.png", "pictures.json", "sheet.png",
    ]  # fmt: skip


def test_ctrl_c_keeps_what_is_done_and_ends_the_engine(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = picture_files.write_new

    def interrupted(path: Path, data: bytes, mark: str) -> None:
        write(path, data, mark)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    before = set(threading.enumerate())
    monkeypatch.setattr(picture_files, "write_new", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            _generate(model, tmp_path, prompt="red apple", n=50, steps=50)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert list(_bytes(tmp_path / "out")) == ["001_red-apple_seed-7.png"]
    begun = set(threading.enumerate()) - before
    assert not any(thread.name == "imagegen-engine" for thread in begun)


def _made(model: Path, tmp_path: Path, **fields: Any) -> Path:
    assert _generate(model, tmp_path, "made", prompt="red apple", **fields) == 0
    return tmp_path / "made" / "001_red-apple_seed-7.png"


def test_replay_makes_the_same_bytes_again(model: Path, tmp_path: Path) -> None:
    image = _picture(tmp_path)
    made = _made(model, tmp_path, image=image, guidance=3.0, scheduler="euler_a", negative="blue")
    fields = {"replay": str(made), "image": image, "steps": 99, "seed": 1}
    assert _generate(model, tmp_path, **fields, probes="attention") == 0
    assert (tmp_path / "out" / made.name).read_bytes() == made.read_bytes()
    assert sorted(_bytes(tmp_path / "out")) == [made.name, "001_red-apple_seed-7_attention.png"]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["same"] is True


def test_replay_wants_the_same_model_and_the_same_files(model: Path, other: Path, tmp_path: Path) -> None:
    image, changed = _picture(tmp_path), _picture(tmp_path, "changed.png", (200, 30, 31))
    plain = str(_made(model, tmp_path))
    started = str(_made(model, tmp_path / "b", image=image))
    for folder, fields, sentence in (
        (
            other,
            {"replay": plain},
            f"the recipe is of model {recipe_of(Path(plain).read_bytes()).model[:12]}…, and",
        ),
        (model, {"replay": plain, "image": image}, f"{plain} was drawn without image=: leave image= out"),
        (model, {"replay": started}, f"{started} was drawn with image=: name the same file by image="),
        (model, {"replay": started, "image": changed}, "the image is another one than the recipe's"),
        (model, {"replay": plain, "output": "made"}, "itself: name another folder"),
        (model, {"replay": image}, "the PNG holds no recipe"),
        (model, {"replay": "none.png"}, "replay=none.png cannot be read: No such file or directory"),
    ):
        with pytest.raises(InputError) as caught:
            _generate(folder, tmp_path, **fields)
        assert sentence in caught.value.sentence


def test_replay_tells_what_it_cannot_make_again(model: Path, tmp_path: Path) -> None:
    made = _made(model, tmp_path)
    recipe, pixels = recipe_of(made.read_bytes()), _pixels(made.read_bytes()).copy()
    pixels[3, 4, 0] ^= 8
    changed = Path(_file(tmp_path, "changed.png", png_bytes(pixels, recipe)))
    info, packed = PngInfo(), tmp_path / "packed.png"
    with Image.open(made) as picture:
        for key, text in picture.info.items():
            info.add_itxt(key, text)
        picture.save(packed, compress_level=1, pnginfo=info)
    larger = Path(_file(tmp_path, "larger.png", png_bytes(np.zeros((8, 8, 3), np.uint8), recipe)))
    for path, code, start in (
        (
            changed,
            "replay_differs",
            "the picture came out differently, by up to 8 of 255: it was changed since, or drawn with other",
        ),
        (
            packed,
            "replay_file_differs",
            "every pixel is the same, but the file is not: another program or release packed it",
        ),
        (
            larger,
            "replay_size_differs",
            "the picture's size is not its recipe's: another program changed the file",
        ),
    ):
        with pytest.raises(InputError) as caught:
            _generate(model, tmp_path, replay=str(path))
        assert caught.value.code == code
        assert caught.value.sentence.startswith(start)
        assert caught.value.sentence.endswith(f"; what was drawn is {tmp_path / 'out' / path.name}")
        assert (tmp_path / "out" / path.name).read_bytes() == made.read_bytes()
    (tmp_path / "out" / changed.name).write_bytes(b"mine")
    with pytest.raises(InputError, match=f"what was drawn is .*/changed_{recipe.mark}.png"):
        _generate(model, tmp_path, replay=str(changed))
    assert (tmp_path / "out" / changed.name).read_bytes() == b"mine"


def test_what_will_be_drawn_is_known_before_it_is_drawn(model: Path, tmp_path: Path) -> None:
    prompts = _file(tmp_path, "p.txt", f"red apple\n\x07\n{'cat ' * 300}\n")
    cfg = ImagegenConfig("generate", prompts=prompts, n=2, steps=1, seed=7)
    generation = generate(cfg, _load(model, "cpu"))
    assert {number: (one.prompt[:9], one.seed) for number, one in generation.recipes.items()} == {
        1: ("red apple", 7), 2: ("red apple", 8), 5: ("cat cat c", 7), 6: ("cat cat c", 8),
    }  # fmt: skip
    ((prompt, fault),) = generation.refused.items()
    assert isinstance(fault, RecipeError)
    assert (prompt.line, fault.code, fault.param) == (2, "prompt_unreadable", "prompt")
    (note,) = generation.notes
    assert note.startswith("line 3: the first ")
    drawn = dict(generation.pictures())
    assert list(drawn) == list(generation.recipes)
    assert all(isinstance(one, Picture) and one.recipe.seed == 7 + (n - 1) % 2 for n, one in drawn.items())
