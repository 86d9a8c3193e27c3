"""The sentences of a refused command line are complete."""

from __future__ import annotations

import string

from core.cli.reasons import CONFIG, START


def test_every_sentence_can_be_filled_in() -> None:
    for table in (CONFIG, START):
        for code, sentence in table.sentences.items():
            names = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
            error = table(code, **dict.fromkeys(names, "x"))
            assert error.code == code
            assert error.sentence
            assert "{x}" not in error.sentence
