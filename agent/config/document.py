"""A YAML file as values that know their lines: PyYAML's composer, our own reading of its nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from agent.config.finding import ConfigError, Finding, KeyPath, Position, written
from agent.config.scalar import Scalar, plain
from agent.config.syntax import syntax_finding

MAX_DEPTH = 30
MAX_VALUES = 300_000  # 4094 VMs with 10,000 containers and rules are 100,000
_PLAIN, _QUOTED, _COLLECTION = "plain", "quoted", "collection"
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a file, and the places of its keys and values."""

    file: str
    value: Any
    values: Mapping[KeyPath, Position] = field(default_factory=dict)
    keys: Mapping[KeyPath, Position] = field(default_factory=dict)

    def position(self, path: KeyPath, *, at_key: bool = False) -> Position:
        """The place of a value or its key; where the path is not in the file, that of what would hold it."""
        for end in range(len(path), -1, -1):
            # A word may stand for a list of one: its place is then the word's, not the key's.
            missing = end < len(path) and isinstance(path[end], str)
            places = (self.keys, self.values) if at_key or missing else (self.values, self.keys)
            for place in places:
                if path[:end] in place:
                    return place[path[:end]]
        return Position(1, 1)


class _Resolver:
    """How the nodes get their tags."""

    def resolve(self, kind: type[yaml.Node], _value: object, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return _COLLECTION
        return _PLAIN if implicit[0] else _QUOTED

    def descend_resolver(self, *_: object) -> None:
        """No path resolvers."""

    def ascend_resolver(self) -> None:
        """No path resolvers."""


class _Nodes(_Resolver, Reader, Scanner, Parser, Composer):
    """PyYAML up to the nodes. The tags say how a scalar was written; any other tag stood in the file."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)


_FastNodes: type[Any] | None = None
if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _LibyamlNodes(_Resolver, CParser):
        """The same by libyaml."""

    _FastNodes = _LibyamlNodes


@dataclass(slots=True)
class _Reader:
    """Nodes to values, all complaints at once."""

    file: str
    values: dict[KeyPath, Position] = field(default_factory=dict)
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    open: set[int] = field(default_factory=set)

    def complain(self, place: Position, path: KeyPath, message: str, mend: str) -> None:
        self.findings.append(Finding(self.file, place.line, place.column, written(path), message, mend))

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        place = _place(node)
        self.values[path] = place
        if len(self.values) > MAX_VALUES:
            self.complain(place, path, "too many values", "use fewer aliases (*name)")
            raise ConfigError(self.findings)
        if id(node) in self.open:
            self.complain(place, path, "an alias inside of what it names", "write the value out instead of the alias")
            return None
        if len(path) > MAX_DEPTH:
            self.complain(place, path, f"nested deeper than {MAX_DEPTH} levels", "check the brackets of this value")
            return None
        if node.tag not in {_PLAIN, _QUOTED, _COLLECTION}:
            self.complain(
                place, path, "a tag (`!…`) before a value", "delete the tag; quote a text that starts with `!`"
            )
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*path, number)) for number, item in enumerate(node.value)]
            return _scalar(node)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            place = _place(key_node)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in {_PLAIN, _QUOTED}:
                self.complain(place, path, "a key that is no word", "write `key: value` with a word as the key")
                continue
            key: str = key_node.value
            if key == "<<" and key_node.tag == _PLAIN:
                mend = "write the keys out, or name a whole value with &name and repeat it with *name"
                self.complain(place, (*path, key), "merge keys (`<<`) are not part of YAML 1.2", mend)
                continue
            if key in first:
                message = f"`{key}` is written twice, first in line {first[key]}: the first would be lost"
                self.complain(place, (*path, key), message, "join the two, or delete one")
                continue
            first[key] = place.line
            self.keys[(*path, key)] = place
            found[key] = self.read(value_node, (*path, key))
        return found


def _compose(text: str) -> yaml.Node | None:
    """The nodes of a text, by libyaml where PyYAML has it: ten times as fast. PyYAML's own parser tells errors."""
    if _FastNodes is not None and "!" not in text:  # the two read the tag `!` differently
        try:
            fast: yaml.Node | None = _FastNodes(text).get_single_node()
        except (yaml.YAMLError, RecursionError):
            pass
        else:
            return fast
    node: yaml.Node | None = _Nodes(text).get_single_node()
    return node


def _place(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _scalar(node: yaml.Node) -> Scalar:
    text: str = node.value
    return plain(text) if node.tag == _PLAIN else text


def decode(file: str, data: bytes) -> str:
    """The text of a file. Raises ConfigError where it is not UTF-8, or has control characters."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        mend = "save the file as UTF-8"
        raise ConfigError([Finding(file, line, column, "", "the file is not UTF-8", mend)]) from None
    if bad := _UNPRINTABLE.search(text):
        line, column = text.count("\n", 0, bad.start()) + 1, bad.start() - text.rfind("\n", 0, bad.start())
        message = f"a control character (U+{ord(bad[0]):04X})"
        raise ConfigError([Finding(file, line, column, "", message, "delete it, or write it as an escape in quotes")])
    return text


def parse(file: str, text: str) -> Document:
    """The document of a text. Raises ConfigError with the syntax error, or with all complaints about its nodes."""
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([syntax_finding(file, error)]) from None
    except RecursionError:
        raise ConfigError([Finding(file, 1, 1, "", "nested too deep", "check the brackets")]) from None
    if node is None or (node.tag == _PLAIN and plain(node.value) is None):
        mend = "write at least `site` and `bus`, see docs/configuration.md"
        raise ConfigError([Finding(file, 1, 1, "", "the file is empty", mend)])
    reader = _Reader(file)
    value = reader.read(node, ())
    if not reader.findings and not isinstance(value, dict):
        what = "a list" if isinstance(value, list) else "a single value"
        reader.complain(_place(node), (), f"the file is {what}, not a mapping", "write keys like `site:` at the margin")
    if reader.findings:
        raise ConfigError(reader.findings)
    return Document(file, value, reader.values, reader.keys)
