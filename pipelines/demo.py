"""`make demo`: every app on embedded inputs and weights, one page that shows the results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.cli.main import run_command
from core.errors import ExitCode
from core.runs.folder import Run
from core.settings.schema import EVERY, path_text, setting

STAGES = {"demo": "pipelines.demo:run"}
PAGE = "index.html"


@dataclass
class DemoConfig:
    """The whole command line of the demo."""

    stage: str = setting("demo", "what to do", choices=tuple(STAGES), stages=EVERY)
    seed: int = setting(0, "seed of everything random", low=0, high=2**32 - 1, stages=EVERY)
    output: str = path_text("demo", "folder for the page and what it links to", stages=EVERY)
    run_dir: str | None = path_text(None, "folder of this run's record", stages=EVERY)


def run(cfg: DemoConfig, run: Run) -> int:
    """Run each app below `cfg.output` and write the page."""
    from apps.imagegen.demo import section as imagegen
    from apps.nodule.demo import section as nodule
    from apps.risk.demo import section as risk
    from core.reports.page import Page
    from core.runs.files import write_text

    output = Path(cfg.output)
    sections = [
        nodule(output / "nodule", run),
        risk(output / "risk", run),
        imagegen(output / "imagegen", run),
    ]
    page = Page(
        title="Triptych: a first look",
        subtitle="What the suite does, run just now on this machine with embedded weights, and no network.",
        sections=sections,
        eyebrow="Triptych",
        footer="Research software: not a medical device, and no basis of a limit or a lending decision.",
    )
    write_text(output / PAGE, page.render())
    return ExitCode.DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; the last line printed is the page's path."""
    words = sys.argv[1:] if argv is None else list(argv)
    code = run_command("demo", "demo", DemoConfig, STAGES, words)
    if code == ExitCode.DONE:
        named = [word.partition("=")[2] for word in words if word.startswith("output=")]
        print(Path(named[-1] if named else DemoConfig.output, PAGE).resolve())
    return code


if __name__ == "__main__":
    sys.exit(main())
