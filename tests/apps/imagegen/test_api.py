"""The public names are documented, and their examples run."""

from __future__ import annotations

import doctest
import inspect

import pytest

import apps.imagegen as package
from core.errors import TriptychError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
NAMES = [
    "AdapterError", "ConfigError", "InputError", "Picture", "PictureError", "Pipeline", "Recipe", "RecipeError",
    "Replayed", "TriptychError", "draw", "load_pipeline", "replay",
]  # fmt: skip


def test_the_names_are_frozen_and_documented() -> None:
    assert sorted(package.__all__) == NAMES
    for name in NAMES:
        assert inspect.getdoc(getattr(package, name)), name


def test_every_example_runs() -> None:
    named = {name: getattr(package, name) for name in NAMES} | {"the package": package}
    examples = [
        test
        for name, one in named.items()
        for test in doctest.DocTestFinder(recurse=False).find(one, name, module=False, globs={})
        if test.examples
    ]
    wanted = {
        name for name, one in named.items() if not (inspect.isclass(one) and issubclass(one, TriptychError))
    }
    assert {test.name for test in examples} == wanted
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples:
        assert runner.run(test).failed == 0, test.name
