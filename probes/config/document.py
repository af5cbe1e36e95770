"""A configuration file as it was written: plain data, and the line on which each key stands.

Read from YAML's node graph, and not by a YAML constructor: no tag makes an object, what aliases expand to is bounded,
and no message repeats a value, which may be a secret that should not stand there.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from probes.errors import ConfigError

Loc = tuple[str | int, ...]

LARGEST = 256 * 1024
MOST_NODES = 20_000
"""Keys and values, aliases expanded: some twenty times what a large configuration has."""
DEEPEST = 30
_TAG = "tag:yaml.org,2002:"
_OPENED = re.compile(rf"(?:[\[{{]\s*){{{DEEPEST + 1}}}")
_QUOTED_WORD = re.compile(r"'[^' <]{2,}'")


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data with line numbers; `lines` maps a place in it (a tuple of keys) to its line, from 1.

    `problems` are mistakes of the file that its data no longer shows, such as a key that stands there twice.
    """

    source: str
    data: dict[str, Any]
    lines: Mapping[Loc, int]
    problems: tuple[str, ...] = ()

    def line(self, loc: Loc) -> int:
        """The line of the nearest place that stands in the file."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def where(self, loc: Loc) -> str:
        """`file:line: a.b.c` for the nearest place that stands in the file."""
        dotted = ".".join(str(part) for part in loc)
        return f"{self.source}:{self.line(loc)}: {dotted or 'the file'}"

    def laid_over(self, place: Loc, data: dict[str, Any]) -> Document:
        """The same file with `data` instead, where what stands under `place` was laid over the rest."""
        depth = len(place)
        over = {loc[depth:]: line for loc, line in self.lines.items() if loc[:depth] == place and len(loc) > depth}
        return replace(self, data=data, lines={**self.lines, **over})


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises ConfigError where it is missing, not readable, not YAML, or not a mapping."""
    root = _compose(path, _read_text(path))
    if not isinstance(root, MappingNode):
        raise ConfigError(f"{path}:1: a configuration is a mapping of keys, such as `env: local`.")
    reader = _Reader(str(path))
    data = reader.mapping(root, ())
    return Document(str(path), data, reader.lines, tuple(reader.problems))


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file.", hint="`smokeprobe init --url URL` writes one.") from None
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read: {problem.strerror}.") from None
    if len(raw) > LARGEST:
        raise ConfigError(f"{path}: larger than {LARGEST // 1024} KiB; this is not a configuration.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text in UTF-8; this is not a configuration.") from None


def _compose(path: Path, text: str) -> Node | None:
    if _OPENED.search(text):  # the scanner's time grows with the square of these
        raise ConfigError(f"{path}: nested too deeply.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # legal YAML, and the warning repeats the lines
            root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = mark.line + 1 if mark else 1
        at = text.splitlines()[line - 1 : line] if mark else []
        if mark and mark.column < len("".join(at)) and at[0][mark.column] == "\t":
            raise ConfigError(f"{path}:{line}: not valid YAML: a tab stands there: write blanks.") from None
        what = str(problem.problem or problem.context or "").partition("\n")[0]
        # a password that begins with * reads as an alias, whose name would be said here
        raise ConfigError(f"{path}:{line}: not valid YAML: {_QUOTED_WORD.sub('…', what)}.") from None
    except YAMLError:
        raise ConfigError(f"{path}: not valid YAML: it has characters that no text has.") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply.") from None
    return root


class _Reader:
    """Makes plain data of nodes, and notes lines and mistakes on the way."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._count = 0
        self.lines: dict[Loc, int] = {}
        self.problems: list[str] = []

    def value(self, node: Node, loc: Loc) -> Any:
        self._count += 1
        if self._count > MOST_NODES or len(loc) > DEEPEST:
            what = "nested too deeply" if len(loc) > DEEPEST else "too many values; its aliases multiply"
            raise ConfigError(f"{self._source}:{_line(node)}: {what}.")
        if isinstance(node, MappingNode):
            return self.mapping(node, loc)
        if isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                self.lines[(*loc, index)] = _line(item)
            return [self.value(item, (*loc, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, loc)

    def mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        written: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                for name, pair in self._merged(value, 1):
                    merged.setdefault(name, pair)
                continue
            name = self._name(key)
            if name in written:
                dotted = ".".join(str(part) for part in (*loc, name))
                first = _line(written[name][0])
                self.problems.append(f"{self._source}:{_line(key)}: {dotted}: stands here twice, first on line {first}")
                continue
            written[name] = (key, value)
        found: dict[str, Any] = {}
        for name, (key, value) in {**merged, **written}.items():
            self.lines[(*loc, name)] = _line(key)
            found[name] = self.value(value, (*loc, name))
        return found

    def _merged(self, node: Node, depth: int) -> Iterator[tuple[str, tuple[Node, Node]]]:
        """What `<<` brings in; of several mappings the first that has a key counts (yaml.org/type/merge)."""
        self._count += 1
        if depth > DEEPEST or self._count > MOST_NODES:
            raise ConfigError(f"{self._source}:{_line(node)}: merged too often.")
        if isinstance(node, SequenceNode):
            for item in node.value:
                yield from self._merged(item, depth + 1)
            return
        if not isinstance(node, MappingNode):
            raise ConfigError(f"{self._source}:{_line(node)}: `<<` merges a mapping, such as *name.")
        for key, value in node.value:
            if key.tag != f"{_TAG}merge":
                yield self._name(key), (key, value)
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                yield from self._merged(value, depth + 1)

    def _name(self, key: Node) -> str:
        if not isinstance(key, ScalarNode):
            raise ConfigError(f"{self._source}:{_line(key)}: a key is one word or one text.")
        return str(key.value)

    def _scalar(self, node: Node, loc: Loc) -> Any:
        text, kind = str(node.value), str(node.tag).removeprefix(_TAG)
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return text.lower() == "true"
            if kind == "int":
                return _integer(text)
            if kind == "float":
                return _float(text)
        except ValueError:
            kind = "unreadable"
        if kind not in {"str", "timestamp"}:
            dotted = ".".join(str(part) for part in loc)
            where = f"{self._source}:{_line(node)}: {dotted}"
            self.problems.append(f"{where}: a tag (!) or number that has no meaning here")
        return text


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    return int(digits, 0) if re.match(r"[-+]?0[box]", digits) else int(digits)


def _float(text: str) -> float:
    plain = text.replace("_", "").lower()
    return float(plain.replace(".inf", "inf").replace(".nan", "nan"))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
