"""The public names are documented, and their examples run."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import apps.imagegen as package
from apps.imagegen import pictures
from apps.imagegen.models import pipeline_folder
from tests.apps.imagegen.tiny import tiny_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
NAMES = [
    "AdapterError", "ConfigError", "InputError", "Picture", "PictureError", "Pipeline", "Recipe", "RecipeError",
    "Replayed", "TriptychError", "draw", "load_pipeline", "replay",
]  # fmt: skip


def test_the_names_are_frozen_and_documented() -> None:
    assert sorted(package.__all__) == NAMES
    for name in NAMES:
        assert inspect.getdoc(getattr(package, name)), name


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a pipeline of the embedded one's sizes and few weights in its place: what it draws is not shown."""
    monkeypatch.setattr(pipeline_folder, "EMBEDDED", tiny_pipeline(tmp_path / "tiny", edge=128))
    monkeypatch.chdir(tmp_path)
    pictures._embedded.cache_clear()
    yield
    pictures._embedded.cache_clear()


def test_every_example_runs(embedded: None) -> None:
    named = {name: getattr(package, name) for name in NAMES} | {"the package": package}
    examples = [
        test
        for name, one in named.items()
        for test in doctest.DocTestFinder(recurse=False).find(one, name, module=False, globs={})
        if test.examples
    ]
    assert {test.name for test in examples} == set(named)
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples:
        # names of the module that an error is defined in
        test.globs.update(vars(inspect.getmodule(named.get(test.name)) or package))
        assert runner.run(test).failed == 0, test.name
