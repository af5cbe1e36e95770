"""Reading YAML: plain data with line numbers, and nothing that a hostile or careless file can do about it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.config.document import Document, read_document
from probes.errors import ConfigError
from tests.config.sample import write


def read(folder: Path, text: str) -> Document:
    return read_document(write(folder, text))


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return caught.value.message.replace(str(folder), "")


def test_values_are_plain_and_of_yaml_1_2(tmp_path: Path) -> None:
    text = """\
text: 100ms
quoted: "08"
clock: 08:00-18:00
date: 2024-01-01
whole: 12
octal: 0o17
hex: 0x1F
leading: 017
grouped: 1_000
real: 1.5e3
endless: -.inf
yes: yes
true: True
empty:
tilde: ~
1: one
"""
    data = read(tmp_path, text).data
    assert data == {
        "text": "100ms",
        "quoted": "08",
        "clock": "08:00-18:00",
        "date": "2024-01-01",
        "whole": 12,
        "octal": 15,
        "hex": 31,
        "leading": 17,
        "grouped": 1000,
        "real": 1500.0,
        "endless": float("-inf"),
        "yes": "yes",
        "true": True,
        "empty": None,
        "tilde": None,
        "1": "one",
    }
    assert {type(value) for value in data.values()} == {str, int, float, bool, type(None)}


def test_each_key_and_item_has_its_line(tmp_path: Path) -> None:
    document = read(tmp_path, "# note\na:\n  b: 1\n\n  c:\n    - x\n    - y: 2\n      z: 3\nd: {e: 4,\n  f: 5}\n")
    assert document.lines == {
        ("a",): 2,
        ("a", "b"): 3,
        ("a", "c"): 5,
        ("a", "c", 0): 6,
        ("a", "c", 1): 7,
        ("a", "c", 1, "y"): 7,
        ("a", "c", 1, "z"): 8,
        ("d",): 9,
        ("d", "e"): 9,
        ("d", "f"): 10,
    }
    assert document.where(("a", "c", 1, "z")).endswith("config.yaml:8: a.c.1.z")
    assert document.where(("a", "nothing", "there")).endswith("config.yaml:2: a.nothing.there")
    assert document.where(()).endswith("config.yaml:1: the file")


def test_merged_keys_have_the_line_on_which_they_are_written(tmp_path: Path) -> None:
    document = read(
        tmp_path, "x: &x\n  p: 1\n  q: 2\ny:\n  <<: *x\n  q: 3\n  z: &z {<<: *x, k: 1}\nw: {<<: [*z, *x], p: 9}\n"
    )
    assert document.data["y"] == {"p": 1, "q": 3, "z": {"p": 1, "q": 2, "k": 1}}
    assert document.data["w"] == {"k": 1, "p": 9, "q": 2}
    places = [("y", "p"), ("y", "q"), ("y", "z", "q"), ("w", "k"), ("w", "p")]
    assert [document.lines[place] for place in places] == [2, 6, 3, 7, 8]


def test_an_aliased_value_has_the_line_on_which_it_is_written(tmp_path: Path) -> None:
    document = read(tmp_path, "a: &a\n  inner: 1\nb: *a\n")
    assert document.data["b"] == {"inner": 1}
    assert (document.lines["b",], document.lines["b", "inner"]) == (3, 2)


def test_a_key_that_stands_there_twice_is_named_with_both_lines_and_no_value(tmp_path: Path) -> None:
    document = read(tmp_path, "a:\n  password: hunter2\n  user: x\n  password: hunter3\n")
    (problem,) = document.problems
    assert problem.endswith("config.yaml:4: a.password: stands here twice, first on line 2")


@pytest.mark.parametrize("key", ["1: x\n'1': y", "true: x\n'true': y"])
def test_keys_that_read_the_same_are_the_same(tmp_path: Path, key: str) -> None:
    assert "twice" in read(tmp_path, key).problems[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "/config.yaml:1: a configuration is a mapping of keys, such as `env: local`."),
        ("# only a note", "/config.yaml:1: a configuration is a mapping of keys, such as `env: local`."),
        ("hunter2", "/config.yaml:1: a configuration is a mapping of keys, such as `env: local`."),
        ("- hunter2", "/config.yaml:1: a configuration is a mapping of keys, such as `env: local`."),
        ("a: 1\nb: c: hunter2", "/config.yaml:2: not valid YAML: mapping values are not allowed here."),
        ('a: "hunter2', "/config.yaml:1: not valid YAML: found unexpected end of stream."),
        ("a: 1\npassword: *hunter2", "/config.yaml:2: not valid YAML: found undefined alias …."),
        ("password: !x!hunter2", "/config.yaml:1: not valid YAML: found undefined tag handle …."),
        ("password: @hunter2", "/config.yaml:1: not valid YAML: found character '@' that cannot start any token."),
        ("a: 1\n---\nb: 2", "/config.yaml:2: not valid YAML: but found another document."),
        ("a:\n\tb: 1", "/config.yaml:2: not valid YAML: a tab stands there: write blanks."),
        ("a:\n  b: 1\n\tc: 2", "/config.yaml:3: not valid YAML: a tab stands there: write blanks."),
        ("a: \x07", "/config.yaml: not valid YAML: it has characters that no text has."),
        ("? [a, b]\n: c", "/config.yaml:1: a key is one word or one text."),
        ("a: 1\nb: {<<: hunter2}", "/config.yaml:2: `<<` merges a mapping, such as *name."),
    ],
)
def test_what_is_not_a_configuration(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == message


@pytest.mark.parametrize(
    "text", ["a: !secret hunter2", "a: !!python/object/apply:os.system [hunter2]", "a: !!int hunter2"]
)
def test_tags_make_nothing(tmp_path: Path, text: str) -> None:
    problems = read(tmp_path, text).problems
    assert not problems or problems[0].endswith("config.yaml:1: a: a tag (!) or number that has no meaning here")
    assert "hunter2" not in "".join(problems)


def bombs() -> dict[str, str]:
    lists = "\n".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))
    merges = "\n".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 9))
    return {
        "billion laughs": f"a0: &a0 [ha]\n{lists}",
        "billion laughs by merging": f"a0: &a0 {{x: 1}}\n{merges}",
        "alias of itself": "a: &a [*a]",
        "merge of itself": "a: &a {b: {<<: *a}}",
        "flow mappings": "{" * 100_000,
        "flow sequences": "a: " + "[ " * 100_000,
        "flow of keys": "a: " + "{a: " * 50_000,
        "block sequences": "- " * 100_000,
        "question marks": "? " * 100_000,
        "deep but small": "a: " + "[" * 25 + "{b: {c: {d: {e: {f: {g: 1}}}}}}" + "]" * 25,
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs_and_deep_nesting_are_refused_at_once(tmp_path: Path, name: str) -> None:
    began = time.process_time()
    message = refusal(tmp_path, bombs()[name])
    assert any(words in message for words in ("nested too deeply", "aliases multiply", "merged too often"))
    assert time.process_time() - began < 3


def test_a_reused_anchor_is_legal_and_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "a: &x 1\nb: &x 2\nc: *x").data == {"a": 1, "b": 2, "c": 2}


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document(tmp_path / "no.yaml")
    assert str(caught.value) == (f"{tmp_path}/no.yaml: there is no such file. `smokeprobe init --url URL` writes one.")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory\.$"):
        read_document(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 1")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read anything, so another file has to do that nobody can read
        path = Path("/proc/self/mem")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(path)


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00\x01", b"a: \xc3", bytes(range(256)), b"\x89PNG\r\n\x1a\n"])
def test_binary(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match="not text in UTF-8; this is not a configuration"):
        read_document(path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_document(path).lines == {("a",): 1, ("b",): 2}


def test_huge_files_are_not_read_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)  # sparse
    with pytest.raises(ConfigError, match="larger than 256 KiB; this is not a configuration"):
        read_document(path)
    with pytest.raises(ConfigError, match="larger than 256 KiB"):
        read_document(Path("/dev/zero"))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef_", min_size=1), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(data=st.dictionaries(st.text("abcdef_", min_size=1), JSON, max_size=5))
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert read(folder, json.dumps(data)).data == data


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60) | st.text("ab:- \n&*<{}[],#|>!%@`'\"?", max_size=40))
def test_any_text_is_read_or_refused_in_one_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with contextlib.suppress(UnicodeEncodeError, ConfigError):
        read(tmp_path_factory.getbasetemp(), text)
