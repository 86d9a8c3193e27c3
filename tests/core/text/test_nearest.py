"""The valid name nearest to a misspelt one."""

from __future__ import annotations

from core.text.nearest import did_you_mean, nearest


def test_the_nearest_choice_is_found_whatever_its_capitals() -> None:
    assert nearest("DEFALT", ["default", "other"]) == "default"
    assert nearest("entity", ["Entity", "time"]) == "Entity"
    assert nearest("zzz", ["default", "other"]) is None
    assert nearest("zzz", ["default", "other"], cutoff=0.0) is not None
    assert nearest("a", [], cutoff=0.0) is None


def test_a_message_names_the_nearest_choice_or_those_there_are() -> None:
    assert did_you_mean("DEFAULT", ["default", "other"]) == 'did you mean "default"?'
    assert did_you_mean("zzz", "abcdefgh") == "there are a, b, c, d, e, f, g, h"
    assert did_you_mean("zzz", "abcdefghij") == "there are a, b, c, d, e, f, g, h, …"
    assert did_you_mean("zzz", []) == "there is none at all"
