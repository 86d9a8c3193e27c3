from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig
from core.jobs.config import JobsConfig
from core.settings.schema import EVERY, MISSING, Section, path_text, setting, walk
from docs.generate.options import options_page, settings_page


@dataclass
class Part(Section):
    where: ClassVar[str] = "part"

    rates: list[float] = setting([0.5], "learning rates", above=0)
    fast: bool = setting(default=False, about="skip | checks")


@dataclass
class Schema(Section):
    stage: str = setting(
        MISSING, "what to do", choices={"train": "fit a model", "score": "use it"}, stages=EVERY
    )
    count: int | None = setting(None, "how many", unit="items", low=1, high=9, stages=("train",))
    output: str | None = path_text(None, "folder for results", needed_by=("score",))
    part: Part = field(default_factory=Part)


def test_a_page_says_of_each_option_its_values_default_and_meaning() -> None:
    page = options_page("triptych-nodule", "nodule", Schema)
    assert "| `stage` | `train`, `score` | must be given | every stage |" in page
    assert "| `score` | use it |" in page
    assert "| `count` | whole number, 1 to 9 items | none | train |" in page
    assert "| `output` | path | none | **score** | folder for results |" in page
    assert "| `part.rates` | list of numbers, more than 0 | `[0.5]` |" in page
    assert "| `part.fast` | true or false | `false` |  | skip \\| checks |" in page
    assert "## part" in page


@pytest.mark.parametrize(
    ("app", "schema"), [("imagegen", ImagegenConfig), ("nodule", NoduleConfig), ("risk", RiskConfig)]
)
def test_every_option_of_every_app_has_its_row(app: str, schema: type) -> None:
    page = options_page(f"triptych-{app}", app, schema)
    paths = [path for path, _ in walk(schema)]
    assert len(paths) > 30
    assert [path for path in paths if page.count(f"| `{path}` |") != 1] == []


def test_a_group_says_what_each_choice_sets() -> None:
    page = options_page("triptych-nodule", "nodule", Schema)
    assert "| `trainer` | `default` | `trainer.max_steps=10000` |" in page
    assert "`data=phantoms`, `trainer=smoke`, `data.phantoms=1`, `data.anatomy_mm=4`" in page


def test_the_options_of_the_queue_are_words_of_its_own_command_line() -> None:
    page = settings_page("Options", "About them.", JobsConfig)
    assert "| `--dead-after-s` |" in page
    assert page.count("| `--") == len(list(walk(JobsConfig)))
