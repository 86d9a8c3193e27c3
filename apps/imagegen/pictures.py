"""Pictures out of prompts, in memory: what the commands, the demo and Python programs draw with.

Legend: H rows, W columns, C red, green, blue.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from apps.imagegen.config import STRENGTH, size_of
from apps.imagegen.data.recipe import Recipe, seeds
from apps.imagegen.models.attention_probe import AttentionProbe, words_of
from apps.imagegen.models.drawing import ImageResult, ImageSpec, draw_all
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.given import Given, given, read_file, whole_size
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.resolve import complete_recipe
from apps.imagegen.reasons import OPTION, RECIPE, REPLAY
from apps.imagegen.report.attention_picture import attention_png
from apps.imagegen.report.recipe_files import recipe_of, same_kind
from apps.imagegen.report.recipe_png import png_bytes
from core.errors import TriptychError
from core.runs.files import write_bytes

ROWS = 16  # of a batch
File = str | Path | bytes


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that was drawn.

    rgb_HWC: (height, width, 3), uint8. recipe: all that decides its bytes. png: the file, with the recipe inside; the
    bytes that `triptych-imagegen stage=generate` writes. notes: sentences on what of the request was not followed.
    attention_png: where each word was attended to, as a PNG; None where that was not asked for.

    >>> from apps.imagegen import draw
    >>> [picture] = draw("red apple", steps=2)
    >>> picture.image().size
    (128, 128)
    """

    rgb_HWC: np.ndarray
    recipe: Recipe
    png: bytes
    notes: tuple[str, ...] = ()
    attention_png: bytes | None = None

    def image(self) -> Image.Image:
        """Return the picture as Pillow has it, RGB."""
        return Image.open(io.BytesIO(self.png))

    def save(self, path: str | Path) -> None:
        """Write the PNG. Raises InputError output_unwritable, output_full."""
        write_bytes(Path(path), self.png)


@dataclass(frozen=True, eq=False)
class Replayed:
    """A picture that was drawn again.

    file: packed as the source was. same: whether its bytes are the source's. note: what was not taken as it is of the
    image that it started from, "" where all was.

    >>> from apps.imagegen import draw, replay
    >>> [picture] = draw("red apple", steps=2)
    >>> replay(picture.png).same
    True
    """

    picture: Picture
    file: bytes
    same: bool
    note: str = ""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What all pictures of one call share. recipe: without a prompt, of a whole size, with the adapter's name."""

    pipeline: Pipeline
    recipe: Recipe
    files: Given
    attention: bool = False

    def complete(self, prompt: str) -> Recipe:
        """Return the whole recipe of a prompt. Raises RecipeError."""
        recipe = replace(self.recipe, prompt=prompt)
        files = self.files
        return complete_recipe(self.pipeline, files.adapters, recipe, files.image, files.mask)


def draw(
    prompt: str | Sequence[str],
    *,
    pipeline: Pipeline | None = None,
    n: int = 1,
    seed: int = 0,
    size: str = "auto",
    steps: int = 25,
    guidance: float = 4.0,
    negative: str = "",
    scheduler: str = "ddim",
    image: File | None = None,
    mask: File | None = None,
    fit: str = "crop",
    strength: float | None = None,
    adapter: str | Path | None = None,
    adapter_scale: float = 1.0,
    attention: bool = False,
) -> list[Picture]:
    """Draw n pictures of each prompt, in the order of the prompts; picture i of a prompt uses seed + i.

    The same arguments give the same bytes, those of `triptych-imagegen stage=generate`, whose options these are. Each
    call starts an engine, which proves its batches first: draw many pictures by one call.

    prompt: what to draw, or several. pipeline: from `load_pipeline`; None: the embedded one, loaded once. n: 1 to 1000.
    size: WIDTHxHEIGHT in pixels, "auto": the model's own. steps: of denoising. guidance: 0 to 30; 1 or less: none.
    negative: what not to draw. image: a file (path or bytes of a PNG, JPEG or WebP) to start from. mask: a file, white
    where the image is to be painted anew. fit: crop, pad or stretch, how the image comes to the size. strength: how
    much of the image may change, above 0 and at most 1; None: 0.7, with a mask 1. adapter: path of a LoRA in
    safetensors. attention: also show where each word was attended to.

    Raises RecipeError (a field that the model cannot draw with), PictureError (image or mask), AdapterError,
    ConfigError (size), InputError (a file that cannot be read).

    >>> from apps.imagegen import draw
    >>> first, second = draw("red apple", n=2, seed=7, steps=2)
    >>> first.rgb_HWC.shape, second.recipe.seed
    ((128, 128, 3), 8)
    """
    width, height = size_of(size)
    files = _read(image, "image"), _read(mask, "mask")
    inputs = prepare(
        pipeline or _embedded(),
        Recipe(
            prompt="",
            negative=negative,
            seed=seed,
            width=width,
            height=height,
            steps=steps,
            guidance=guidance,
            scheduler=scheduler,
            adapter_scale=adapter_scale,
            strength=strength_of(strength, image=image is not None, mask=mask is not None),
        ),
        *files,
        adapter=None if adapter is None else str(adapter),
        fit=fit,
        attention=attention,
    )
    prompts = [prompt] if isinstance(prompt, str) else prompt
    recipes = [one for text in prompts for one in seeds(inputs.complete(text), n)]
    return [_raised(one) for one in pictures_of(inputs, recipes)]


def replay(
    file: File,
    *,
    pipeline: Pipeline | None = None,
    image: File | None = None,
    mask: File | None = None,
    adapter: str | Path | None = None,
    attention: bool = False,
) -> Replayed:
    """Draw the picture of a file (PNG, JPEG or WebP with its recipe inside) again.

    file: path or bytes. image, mask, adapter: the files that it was drawn with. pipeline, attention: as of `draw`.
    Raises InputError where the file holds no recipe, or other files are named than it was drawn with; RecipeError where
    the model or a file is another one.

    >>> from apps.imagegen import draw, replay
    >>> [picture] = draw("blue car", seed=3, steps=2)
    >>> replay(picture.png).picture.recipe == picture.recipe
    True
    """
    source = file if isinstance(file, bytes) else read_file(Path(file), "replay")
    recipe = recipe_of(source)
    name = "the picture" if isinstance(file, bytes) else str(file)
    for field, given_one, used in (
        ("image", image, recipe.image_sha256),
        ("mask", mask, recipe.mask_sha256),
        ("adapter", adapter, recipe.adapter),
    ):
        if (given_one is None) != (used is None):
            raise REPLAY(
                "replay_file_unused" if used is None else "replay_file_missing", path=name, field=field
            )
    files = _read(image, "image"), _read(mask, "mask")
    used_adapter = None if adapter is None else str(adapter)
    inputs = prepare(pipeline or _embedded(), recipe, *files, adapter=used_adapter, attention=attention)
    (drawn,) = pictures_of(inputs, [inputs.complete(recipe.prompt)])
    picture = _raised(drawn)
    data = same_kind(source, picture.rgb_HWC, recipe, inputs.pipeline.notes(picture.recipe))
    return Replayed(picture, data, data == source, inputs.files.note)


def prepare(
    pipeline: Pipeline,
    recipe: Recipe,
    image: bytes | None = None,
    mask: bytes | None = None,
    *,
    adapter: str | None = None,
    fit: str = "crop",
    attention: bool = False,
) -> Inputs:
    """Check all but the prompt, and bring image and mask to the size; what is refused here is refused for every prompt.

    recipe: its prompt is not read. Raises as `draw` does.
    """
    if mask is not None and image is None:
        raise RECIPE("mask_without_image", param="mask")
    if pipeline.runtime and adapter is not None:
        raise OPTION("artifacts_adapter")
    if pipeline.runtime and attention:
        raise OPTION("artifacts_attention")
    sized = pipeline.sized(whole_size(pipeline, recipe, image))
    files = given(pipeline, sized, image=image, mask=mask, adapter=adapter, fit=fit)
    return Inputs(pipeline, replace(sized, adapter=files.adapter), files, attention)


def pictures_of(
    inputs: Inputs, recipes: Iterable[Recipe], rows: int = ROWS
) -> Iterator[Picture | TriptychError]:
    """Yield the picture of each whole recipe, or why there is none, in their order. rows: of the engine's batches."""
    pipeline, files = inputs.pipeline, inputs.files
    specs = (
        ImageSpec(one, files.image, files.mask, _probe(pipeline, one) if inputs.attention else None)
        for one in recipes
    )
    at_once = 2 * rows
    with Engine(pipeline, rows=rows, waiting=at_once, adapters=files.adapters) as engine:
        for result in draw_all(engine, specs, at_once):
            yield _picture(result, inputs)


def strength_of(strength: float | None, *, image: bool, mask: bool) -> float | None:
    """Return how much of a given image may change: by default 0.7, and all of what a mask shows."""
    if not image:
        return strength
    return strength or (1.0 if mask else STRENGTH)


def _picture(result: ImageResult, inputs: Inputs) -> Picture | TriptychError:
    if isinstance(result.outcome, TriptychError):
        return result.outcome
    recipe, rgb_HWC = result.recipe, result.outcome
    notes = inputs.pipeline.notes(recipe)
    shown = None
    probe = result.spec.probe
    if isinstance(probe, AttentionProbe):
        words = [word.text for word in probe.words]
        shown = attention_png(rgb_HWC, recipe.prompt, words, probe.maps_SWhw().cpu().numpy())
    others = (inputs.files.note,) if inputs.files.note else ()
    return Picture(rgb_HWC, recipe, png_bytes(rgb_HWC, recipe, notes), (*others, *notes), shown)


def _probe(pipeline: Pipeline, recipe: Recipe) -> AttentionProbe | None:
    """Return what collects the attention of each word; None where the text encoder sees no word."""
    words = words_of(pipeline.tokenizer, recipe.prompt, recipe.text_chunks)
    latent_hw = (recipe.height // pipeline.factor, recipe.width // pipeline.factor)
    return AttentionProbe(words, latent_hw) if words else None


def _raised(picture: Picture | TriptychError) -> Picture:
    if isinstance(picture, TriptychError):
        raise picture
    return picture


def _read(file: File | None, field: str) -> bytes | None:
    return file if file is None or isinstance(file, bytes) else read_file(Path(file), field)


@functools.cache
def _embedded() -> Pipeline:
    return load_pipeline()
