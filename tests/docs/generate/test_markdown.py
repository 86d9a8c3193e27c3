from __future__ import annotations

from docs.generate.markdown import code, escaped, table, without_local_links


def test_a_cell_cannot_break_its_table() -> None:
    assert table(("a", "b"), [("x|y", "one\ntwo")]) == "| a | b |\n| --- | --- |\n| x\\|y | one two |\n"


def test_code_and_plain_text() -> None:
    assert (code("x"), code(""), code(0)) == ("`x`", "", "`0`")
    assert escaped("<n> of var_010 *") == "&lt;n&gt; of var\\_010 \\*"
    assert escaped("at most `serve.pictures`; a ` alone") == "at most `serve.pictures`; a \\` alone"


def test_links_to_files_of_the_repository_become_their_paths() -> None:
    text = "![a](b.png)\n[records](../results/a.json), [a.json](a.json), [web](https://example.org), [here](#here)"
    assert without_local_links(text) == (
        "records (`../results/a.json`), `a.json`, [web](https://example.org), [here](#here)"
    )
