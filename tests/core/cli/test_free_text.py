from __future__ import annotations

from core.cli.free_text import Sealed


def test_only_free_text_fields_are_sealed() -> None:
    sealed = Sealed(["input"])
    left_alone = ["seed=1,2", "inputs=a,b", "~input", "input"]
    assert [sealed.seal(text) for text in left_alone] == left_alone
    key, _, token = sealed.seal("+input=a,b=c").partition("=")
    assert key == "+input"
    assert token.replace("-", "").isalnum()
    assert sealed.open(token) == "a,b=c"


def test_fields_of_several_values_get_a_token_for_each() -> None:
    sealed = Sealed(["date", "input"])
    tokens = sealed.seal("date=${x},b", several=["date"]).partition("=")[2].split(",")
    assert [sealed.open(token) for token in tokens] == ["${x}", "b"]
    assert sealed.seal("input=a,b", several=["date"]).count(",") == 0


def test_tokens_open_inside_longer_texts_too() -> None:
    sealed = Sealed(["output"])
    token = sealed.seal("output=${x}").partition("=")[2]
    assert sealed.open(f"{token}/runs") == "${x}/runs"


def test_texts_go_back_into_composed_values() -> None:
    sealed = Sealed(["input", "data.volumes"])
    tokens = [sealed.seal(text).partition("=")[2] for text in ("input=???", "data.volumes=")]
    content = {"input": tokens[0], "data": {"volumes": tokens[1], "sizes": [1, None]}, "names": [tokens[0]]}
    assert sealed.open_all(content) == {
        "input": "???",
        "data": {"volumes": "", "sizes": [1, None]},
        "names": ["???"],
    }
