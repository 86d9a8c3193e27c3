"""The app's part of the demo: a dozen everyday prompts, drawn just now, and the attention to the words of one."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.imagegen.picture_files import PictureFiles
from apps.imagegen.pictures import draw
from core.reports.page import Facts, Figure, Links, PageSection, Text
from core.reports.picture import drawn_over
from core.runs.folder import Run

PROMPTS = (
    "red apple",
    "grinning face",
    "blue car",
    "slice of pizza",
    "birthday cake",
    "red heart",
    "cat face",
    "sunflower",
    "hamburger",
    "rocket",
    "umbrella",
    "tropical fish",
)
ATTENDED = "slice of pizza"
STEPS = 25


def section(folder: Path, run: Run, model: Path | None = None) -> PageSection:
    """Draw below `folder` and return the app's section of the demo's page, whose links start at `folder`'s parent.

    model: folder of a pipeline; None: the embedded one. Raises as `load_pipeline`, `draw` and `PictureFiles` do.
    """
    began = time.monotonic()
    pipeline = load_pipeline(model, "cpu")
    ready = time.monotonic()
    drawn = draw(PROMPTS, pipeline=pipeline, steps=STEPS, seed=1, attention=True)
    seconds = time.monotonic() - ready
    files = PictureFiles(folder / "pictures", len(drawn))
    path_by_prompt = {one.recipe.prompt: files.add(number, one) for number, one in enumerate(drawn, start=1)}
    files.finish()
    run.write_metrics(
        {
            "pictures": len(drawn),
            "model": pipeline.digest,
            "seconds_model": round(ready - began, 3),
            "seconds_drawing": round(seconds, 3),
            "seconds_picture": round(seconds / len(drawn), 4),
        }
    )
    run.log.event("generated", items=len(drawn), quarantined=0, seconds=round(seconds, 3))
    folder_name = f"{folder.name}/{files.folder.name}"
    attended = path_by_prompt[ATTENDED]
    attention = attended.with_stem(f"{attended.stem}_attention")
    return PageSection(
        "Pictures from words",
        [
            Text(
                f"{len(PROMPTS)} prompts drawn by a Stable Diffusion trained for this suite on a CPU, as they came: "
                "one seed for all, none chosen. Several share each step of the network, and none sees the others: "
                "every picture is byte for byte what it would be alone."
            ),
            Figure(_inline(files.folder / "sheet.png", f"{len(PROMPTS)} pictures with their prompts")),
            Facts(
                [
                    ("Pictures", f"{len(drawn)} of {STEPS} steps"),
                    ("Drawing", f"{seconds:.1f} s"),
                    ("One picture", f"{seconds / len(drawn):.2f} s"),
                    ("Loading", f"{ready - began:.1f} s"),
                ]
            ),
            Figure(
                _inline(attention, f"Attention to the words of “{ATTENDED}” by step"),
                "Cross-attention to each word at several steps of denoising; darker is more.",
            ),
            Links(
                [
                    ("Contact sheet (PNG)", f"{folder_name}/sheet.png"),
                    (
                        "A picture with its recipe inside: replay= makes it again",
                        f"{folder_name}/{path_by_prompt[PROMPTS[0]].name}",
                    ),
                    ("All recipes (JSON)", f"{folder_name}/pictures.json"),
                ]
            ),
        ],
    )


def _inline(path: Path, alt: str) -> Markup:
    return drawn_over(np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB")), alt)
