from __future__ import annotations

from pathlib import Path

import griffe

from docs.generate.doctests import Doctests, fenced


def test_an_example_becomes_a_code_block() -> None:
    text = "Draw.\n\n>>> draw(\n...     1)\n'one'\n>>> 2\n2\n\nRaises nothing >>> here."
    assert fenced(text) == (
        "Draw.\n\n```pycon\n>>> draw(\n...     1)\n'one'\n>>> 2\n2\n```\n\nRaises nothing >>> here."
    )


def test_every_docstring_of_a_package_is_fenced(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('def make():\n    """Make.\n\n    >>> make()\n    1\n    """\n')
    module = griffe.load("one", search_paths=[str(tmp_path)], extensions=griffe.Extensions(Doctests()))
    docstring = module["make"].docstring
    assert docstring is not None
    assert docstring.value == "Make.\n\n```pycon\n>>> make()\n1\n```"
