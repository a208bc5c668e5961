"""YAML of any origin as a tree: lines, merge keys, and bombs that do not go off."""

from __future__ import annotations

import time

import pytest
import yaml

from wardship.sdk import yaml_tree
from wardship.sdk.yaml_tree import MAX_CHARS, MAX_DEPTH, MAX_NODES, MISSING, Node, documents


def only(text: str) -> Node:
    (document,) = documents(text)
    assert document.root is not None
    return document.root


def test_values_know_their_line_and_null_is_not_a_word() -> None:
    root = only("a: 1\nb:\n  - x\n  - 'null'\nc:\nd: ~\n")
    assert (root.get("a").text, root.get("a").line) == ("1", 1)
    assert [(item.text, item.line, item.is_null) for item in root.get("b").items] == [
        ("x", 3, False),
        ("null", 4, False),
    ]
    assert root.get("c").is_null
    assert root.get("d").is_null


def test_what_is_missing_is_falsy_and_has_nothing_below() -> None:
    assert not only("a: {b: c}").get("a", "x", "y", "z")
    assert MISSING.get("a") is MISSING
    assert only("a: ''").get("a")  # empty, but there


def test_a_merge_key_gives_way_to_what_is_said() -> None:
    root = only("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  c: 3\n  <<: [*x, *y]\n")
    assert {key.text: value.text for key, value in root.get("z").pairs} == {"a": "1", "b": "1", "c": "3"}


def test_the_last_of_two_keys_counts() -> None:
    assert only("a: 1\na: 2\n").get("a").text == "2"


def test_tags_are_passed_over_and_never_obeyed() -> None:
    assert only("a: !!python/object/apply:os.system [x]\n").get("a").items[0].text == "x"


def test_a_block_keeps_its_source_for_the_lines() -> None:
    node = only("a: >\n  one\n  two\n\n  three\nb: x\n").get("a")
    assert node.text == "one two\nthree\n"
    assert node.source is not None
    assert node.source.split("\n")[:5] == [">", "  one", "  two", "", "  three"]


def test_documents_stand_alone() -> None:
    found = list(documents("a: 1\n---\nb: [\n---\nc: 3\n"))
    assert [(one.line, one.root is None) for one in found] == [(1, False), (2, True), (4, False)]
    assert found[2].root is not None
    assert found[2].root.get("c").line == 5


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MAX_DEPTH + 2),
        "a: &a [*a]\n",
        "a: *nothing\n",
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"b{n}: &b [*{'b' if n else 'a'}, *{'b' if n else 'a'}]\n" for n in range(60)),
        "- 1\n" * (MAX_NODES + 1),
        "a" * (MAX_CHARS + 1),
        "a: \x00",
        "a: \ud800",
        "a: [",
        "",
    ],
    ids=lambda text: repr(text[:14]),
)
def test_what_cannot_be_read_has_no_tree(text: str) -> None:
    started = time.process_time()
    assert [document.root for document in documents(text)][-1:] == [None]
    assert time.process_time() - started < 5.0


def test_all_documents_share_one_bound() -> None:
    part = "- 1\n" * 30_000
    assert [document.root is None for document in documents("---\n".join([part] * 4))] == [False] * 3 + [True]


def test_the_reader_in_python_gives_the_same_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x |\n  one\n  two\nb: [*x, 'c']\nd:\n"

    def told() -> list[tuple[str | None, str | None, int, str | None, bool]]:
        return [(key, node.text, node.line, node.source, node.is_null) for key, node in only(text).scalars()]

    expected = told()
    monkeypatch.setattr(yaml_tree, "_Loader", yaml.SafeLoader)
    assert told() == expected
