"""What the parts are called is what metrics.json calls them."""

from __future__ import annotations

from apps.risk.evaluation.parts import Parts


def test_parts_have_the_names_of_the_file() -> None:
    one, other = {"a": {"loss": 1.0}}, {"a": {"loss": 2.0}}
    assert Parts(one, other)._asdict() == {"development": one, "test": other}
