"""Why the image app refuses something: stable codes, each with one sentence.

A sentence may quote what a user named, so it goes to the user and never into a log.
"""

from __future__ import annotations

from typing import TypeVar

from apps.imagegen.errors import FieldError, PictureError, RecipeError
from core.errors import InputError
from core.reasons import Reasons

F = TypeVar("F", bound=FieldError)


class FieldReasons(Reasons[F]):
    """Reasons of errors that name a field: `param` is one of the values."""

    def __call__(self, code: str, /, **values: object) -> F:
        """Return the error of a code. Raises KeyError for a code, or a value, that the table lacks."""
        return self.error(code, self.sentence(code, **values), str(values["param"]))


RECIPE = FieldReasons(
    RecipeError,
    "A recipe, or a request for a picture",
    {
        "prompt_empty": "the prompt is empty: say what to draw",
        "prompt_type": "the {param} is a {type}; text is wanted",
        "prompt_too_long": "the {param} has {characters} characters; at most {most} are wanted",
        "prompt_unreadable": "the {param} has {sign} at position {position}, a sign that is not text: leave it out",
        "seed_range": "seed is {value}; a whole number of 0 to 2^63 - 1 is wanted",
        "count_range": "n is {value}; 1 to {most} pictures are wanted",
        "size_unknown": "size is {width}x{height}; this model draws {sizes}",
        "steps_range": "steps is {value}; {low} to {high} is wanted",
        "guidance_range": "guidance is {value}; {low:g} to {high:g} is wanted",
        "adapter_scale_range": "adapter_scale is {value}; {low:g} to {high:g} is wanted",
        "text_chunks_range": "text_chunks is {value}; 0 to {most} is wanted",
        "scheduler_unknown": "scheduler is {value}; one of {known} is wanted",
        "strength_range": "strength is {value}; more than 0 and at most 1 is wanted",
        "strength_missing": "strength is missing: say how much of the image may change",
        "strength_without_image": "strength is given without an image: leave it out",
        "adapters_absent": "there are no adapters here: leave adapter out",
        "adapter_other": "the adapter {name} is another file than the recipe's",
        "model_other": (
            "the recipe is of model {recipe}…, and {name} is {model}…: name the model's folder by model.path="
        ),
        "image_missing": "the recipe starts from a picture: give it too",
        "mask_missing": "the recipe paints inside a mask: give it too",
        "image_other": "the {param} is another one than the recipe's",
        "image_size": "the {param} has shape {shape}; {wanted} is wanted",
        "recipe_not_object": "this is not a recipe: a JSON object with 'format' is wanted",
        "recipe_format": (
            "the recipe is of format {value}, and format {wanted} is wanted: use the release that wrote it"
        ),
        "recipe_field_unknown": "the recipe has an unknown field {name}",
        "recipe_field_missing": "the recipe lacks the field {name}",
        "recipe_field_type": "the recipe's {param} is a {type}, and {wanted} is wanted",
    },
)

PICTURE = FieldReasons(
    PictureError,
    "A picture or a mask that was given",
    {
        "image_empty": "the {param} is an empty file",
        "image_broken": "the {param} is broken or cut off: save it again",
        "image_format": "the {param} is not a PNG, JPEG or WebP: save it as one of these",
        "image_animated": "the {param} is an animation: send one of its pictures",
        "image_too_large": (
            "the {param} has {pixels} pixels; at most {most:g} million pixels are taken: make it smaller"
        ),
        "image_shape": (
            "the {param} has {width}x{height} pixels, of which hardly anything fits into {into}: "
            "cut out the part that is meant"
        ),
        "mask_size": "the mask has {own} pixels, and the image {image}: they must be equal",
        "mask_empty": "the mask leaves nothing to paint: make it transparent or white somewhere",
    },
)

PACKAGE = Reasons(
    InputError,
    "A public package that training and evaluation fetch",
    {
        "npm_missing": "npm is needed to fetch {name}: install Node.js, or put {archive} into {folder}",
        "package_unreachable": (
            "npm cannot fetch {name} {version}: check the network, or put {archive} into {folder}"
        ),
        "package_changed": "{path} is not {name} {version}: delete it, and run again",
    },
)
