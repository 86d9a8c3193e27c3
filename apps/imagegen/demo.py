"""The app's part of the demo: a dozen everyday prompts, drawn just now, and the attention to the words of one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from apps.imagegen import generate
from apps.imagegen.config import ImagegenConfig, ModelConfig
from core.reports.page import Facts, Figure, Links, PageSection, Text
from core.reports.picture import drawn_over
from core.runs.files import write_text
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
    """Run the app below `folder` and return its section of the demo's page, whose links start at `folder`'s parent.

    model: folder of a pipeline; None: the embedded one.
    """
    prompts, pictures = folder / "prompts.txt", folder / "pictures"
    write_text(prompts, "\n".join(PROMPTS) + "\n")
    generate.run(
        ImagegenConfig(
            "generate",
            prompts=str(prompts),
            output=str(pictures),
            probes="attention",
            steps=STEPS,
            seed=1,
            weights=None if model is None else str(model),
            model=ModelConfig(device="cpu"),
        ),
        run,
    )
    measured = json.loads((run.path / "metrics.json").read_text(encoding="utf-8"))
    folder_name = f"{folder.name}/{pictures.name}"
    files = {
        one["recipe"]["prompt"]: one["file"]
        for one in json.loads((pictures / "pictures.json").read_text("utf-8"))
    }
    attention = pictures / f"{Path(files[ATTENDED]).stem}_attention.png"
    return PageSection(
        "Pictures from words",
        [
            Text(
                f"{len(PROMPTS)} prompts drawn by a Stable Diffusion trained for this suite on a CPU, as they came: "
                "one seed for all, none chosen. Several share each step of the network, and none sees the others: "
                "every picture is byte for byte what it would be alone."
            ),
            Figure(_inline(pictures / "sheet.png", f"{len(PROMPTS)} pictures with their prompts")),
            Facts(
                [
                    ("Pictures", f"{measured['pictures']} of {STEPS} steps"),
                    ("Drawing", f"{measured['seconds_drawing']:.1f} s"),
                    ("One picture", f"{measured['seconds_picture']:.2f} s"),
                    ("Loading", f"{measured['seconds_model']:.1f} s"),
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
                        f"{folder_name}/{files[PROMPTS[0]]}",
                    ),
                    ("All recipes (JSON)", f"{folder_name}/pictures.json"),
                ]
            ),
        ],
    )


def _inline(path: Path, alt: str) -> Markup:
    return drawn_over(np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB")), alt)
