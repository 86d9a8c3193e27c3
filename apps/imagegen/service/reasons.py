"""What the image service answers to a request that it cannot serve, and why it does not start.

Codes of recipes, pictures and adapters are in `apps.imagegen.reasons`; of every service in `core.serving.reasons`.
"""

from __future__ import annotations

from core.errors import ConfigError
from core.reasons import Reasons
from core.serving.service_error import ServiceReasons

SETTINGS = Reasons(
    ConfigError,
    "The settings of the image service",
    {
        "serve_scheduler": "scheduler={scheduler}: {model} is drawn with {known}",
        "serve_range": "{name}={value}: this service draws with {low:g} to {high:g}",
        "serve_adapters": "adapter={folder}: the service takes a folder of adapters, and this is not a folder",
    },
)

BODY = ServiceReasons(
    "The body of a request",
    {
        "field_twice": (400, "{param} is given twice; one {type} is taken"),
    },
)

FIELD = ServiceReasons(
    "A field of a request",
    {
        "size_format": (400, "size is {value}; it must be auto, or WIDTHxHEIGHT in pixels"),
        "previews_range": (400, "previews is {value}; it must be 0 to {most}"),
        "keep_range": (400, "keep is {value}; it must be 0 to {most:g} seconds"),
        "image_unwanted": (400, "this picture was drawn without image: leave it out"),
        "mask_unwanted": (400, "this picture was drawn without mask: leave it out"),
        "model_not_found": (404, "there is no model {name}; this service has {served}"),
        "work_unknown": (404, "there is no such drawing under way"),
    },
)

OPENAI = ServiceReasons(
    "A field of OpenAI's images API that is not offered, or not with this value",
    {
        "svg_not_offered": (400, "SVG is not offered: output_format is png, jpeg or webp"),
        "animation_not_offered": (400, "moving pictures are not offered"),
        "complexity_not_offered": (400, "complexity is not offered: say steps or quality"),
        "markup_not_offered": (400, "markup is not offered: say where to paint by mask"),
        "url_not_offered": (
            400,
            "links are not offered, since no picture is kept here: response_format must be b64_json",
        ),
        "variations_not_offered": (
            400,
            "variations are not offered: send the image to /v1/images/edits with a prompt and a strength",
        ),
        "background_format": (400, "JPEG has no transparent background: output_format must be png or webp"),
        "compression_range": (400, "output_compression is {value}; it must be 0 to 100"),
        "partial_images_range": (400, "partial_images is {value}; it must be 0 to {most}"),
        "partial_images_unstreamed": (400, "partial_images need stream=true"),
    },
)

KEPT = ServiceReasons(
    "A request with an Idempotency-Key, or one that was kept for it",
    {
        "idempotency_key_format": (
            400,
            "Idempotency-Key must have 1 to 255 visible ASCII characters, in double quotation marks or without",
        ),
        "idempotency_key_stream": (
            400,
            "a request with an Idempotency-Key is not streamed: leave stream out",
        ),
        "idempotency_key_unsupported": (
            400,
            "an Idempotency-Key is taken by /v1/images/generations alone: send this request without it",
        ),
        "idempotency_key_reused": (
            422,
            "this Idempotency-Key was used for another request: choose a new one",
        ),
        "idempotency_key_in_use": (409, "a request with this Idempotency-Key is under way"),
        "kept_full": (429, "{most} kept requests wait, the most taken; ask again in a moment"),
        "kept_unavailable": (503, "requests cannot be kept now: the database of jobs does not answer"),
        "kept_unwritable": (507, "requests cannot be kept: the folder serve.kept cannot be written"),
        "kept_unknown": (404, "there is no such request; its answer may have expired"),
        "kept_ended": (409, "the request is {state} already"),
        "kept_not_done": (409, "the request is {state}: ask again in a moment"),
        "kept_cancelled": (409, "the request was cancelled: send it with another Idempotency-Key"),
    },
)

SERVICE = ServiceReasons(
    "A request that the service cannot take, or cannot finish",
    {
        "engine_ended": (503, "the engine has ended; ask again in a moment"),
        "prompt_log_unwritable": (
            507,
            (
                "nothing is drawn, since the log of prompts cannot be written ({cause}): free its disk, or start the "
                "service without serve.log_prompts"
            ),
        ),
    },
)
