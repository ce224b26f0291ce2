"""The file as YAML: scalars, lines, and what is no YAML."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.config.document import decode, parse
from agent.config.finding import ConfigError, Finding, Position
from agent.config.loader import read
from agent.config.scalar import plain


def value(text: str) -> Any:
    return parse("f", text).value


def findings(text: str | bytes) -> tuple[Finding, ...]:
    with pytest.raises(ConfigError) as caught:
        parse("f", decode("f", text.encode() if isinstance(text, str) else text))
    return caught.value.findings


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("10", 10),
        ("-3", -3),
        ("0x10", 16),
        ("0", 0),
    ],
)
def test_scalars_of_the_core_schema(text: str, meant: object) -> None:
    assert plain(text) == meant
    assert type(plain(text)) is type(meant)


@pytest.mark.parametrize(
    "text",
    [
        "on", "off", "yes", "no", "y", "52:54:00:12:34:56", "22:25", "190:20:30", "1:2", "010", "0o10", "1_000",
        "2026-11-23",
        "2001-12-14t21:59:43.10-05:00", "0b11", ".inf", ".nan", "=", "1e", "0x", "0xfg", "٣", "10.10.0.0/24",
    ],
)  # fmt: skip
def test_what_older_yaml_takes_for_something_else_stays_text(text: str) -> None:
    assert value(f"a: {text}") == {"a": text}


def test_quotes_make_text() -> None:
    assert value("a: '10'\nb: \"true\"\nd: |\n  10\n") == {"a": "10", "b": "true", "d": "10\n"}


def test_keys_are_words_whatever_they_look_like() -> None:
    assert value("on: 1\nno: 2\n10: 3\nnull: 4\n") == {"on": 1, "no": 2, "10": 3, "null": 4}


def test_every_value_knows_its_place() -> None:
    document = parse("f", "site:\n  name: home\nrules:\n  - { from: a,\n      to: [b, c] }\n")
    assert document.position(("site", "name")) == Position(2, 9)
    assert document.position(("site", "name"), at_key=True) == Position(2, 3)
    assert document.position(("rules", 0, "to", 1)) == Position(5, 15)
    # What is not there is where it would be.
    assert document.position(("site", "prefix", "x"), at_key=True) == Position(1, 1)
    assert document.position(("rules", 0, "action")) == Position(4, 5)
    assert document.position(("bus",)) == Position(1, 1)


def test_an_alias_repeats_a_value() -> None:
    assert value("a: &x { b: [1, 2] }\nc: *x\n") == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


BAD = {
    "empty": ("", 1, "the file is empty", "at least `site` and `bus`"),
    "only comments": ("# nothing\n", 1, "the file is empty", "`site` and `bus`"),
    "only a start": ("---\n", 1, "the file is empty", "`site` and `bus`"),
    "a list": ("- a\n- b\n", 1, "the file is a list, not a mapping", "keys like `site:`"),
    "a word": ("hello\n", 1, "a single value", "keys like `site:`"),
    "key twice": ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", 5, "`c` is written twice, first in line 3", "delete one"),
    "merge key": ("a: &x { b: 1 }\nc:\n  <<: *x\n", 3, "merge keys", "*name"),
    "tag": ("a: !!python/object:os.system x\n", 1, "a tag", "delete the tag"),
    "tag on a map": ("a:\n  !!set { b }\n", 2, "a tag", "delete the tag"),
    "complex key": ("a: 1\n? [b, c]\n: 2\n", 2, "a key that is no word", "`key: value`"),
    "alias in itself": ("a: &x\n  b: *x\n", 1, "inside of what it names", "instead of the alias"),
    "unknown alias": ("a: *x\n", 1, "an alias (*name) whose &name is not above it", "write &name"),
    "tab": ("a:\n\tb: 1\n", 2, "a tab", "indent with spaces"),
    "unclosed brace": ("a: { b: 1\nc: 2\n", 2, "a `{` without its `}`", "close the `{`"),
    "unclosed bracket": ("a: [ b,\nc: 2\nd: 1\n", 3, "a `[` without its `]`", "close the `[`"),
    "unclosed quote": ('a: "b\nc: 2\n', 3, "a quote that is not closed (it began in line 1)", "close the quote"),
    "two colons": ("a: b: c\n", 1, "a `: ` where no key can be", "in quotes"),
    "indent": ("a:\n    b: 1\n  c: 2\n", 3, "indented unlike its neighbours", "the same indent"),
    "unquoted IPv6, at the end": ("a: { b: 1, c: fd00:: }\n", 1, "missing comma", "quote an IPv6 address"),
    "unquoted IPv6, in the middle": ("a: { b: fd00::, c: 1 }\n", 1, "missing comma", "quote an IPv6 address"),
    "unquoted IPv6, at the start": ("a: { b: ::1 }\n", 1, "a value is missing here", "quote an IPv6 address"),
    "no colon": ("a: 1\nb\nc: 2\n", 3, "a key without `:`", "`key: value`"),
    "at sign": ("a: @b\n", 1, "may not begin with this character", "in quotes"),
    "percent": ("a: 1\n%b\n", 3, "a line that starts with `%`", "in quotes"),
    "outdent": ("  a: 1\nb: 2\n", 2, "text after the end", "at the margin the same indent"),
    "two documents": ("a: 1\n---\nb: 2\n", 2, "a second document", "delete the line `---`"),
    "escape": ('a: "\\q"\n', 1, "an escape that YAML does not know", "single quotes"),
    "control character": ("a: 1\nb: \x00\n", 2, "a control character (U+0000)", "delete it"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_configuration(case: str) -> None:
    text, line, message, mend = BAD[case]
    (found,) = findings(text)
    assert (found.file, found.line) == ("f", line), str(found)
    assert message in found.message
    assert mend in found.mend


def test_all_complaints_of_the_syntax_at_once() -> None:
    assert [f.line for f in findings("a: 1\na: 2\nb: !x 1\n<<: {}\n")] == [2, 3, 4]


def test_not_utf8() -> None:
    (found,) = findings(b"a: 1\nb: \xe4\n")
    assert (found.line, found.column, found.message, found.mend) == (
        2,
        4,
        "the file is not UTF-8",
        "save the file as UTF-8",
    )


def test_a_byte_order_mark_is_harmless() -> None:
    assert parse("f", decode("f", b"\xef\xbb\xbfa: 1\n")).value == {"a": 1}


def test_many_aliases_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (found,) = findings("\n".join(lines))
    assert found.message == "too many values"


def test_deep_nesting_is_refused() -> None:
    assert any("nested" in found.message for found in findings("a: " + "[" * 50 + "]" * 50))
    assert any("nested" in found.message for found in findings("a: " + "[" * 5000 + "]" * 5000))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(ConfigError) as caught:
            read(path)
        (found,) = caught.value.findings
        assert reason in found.message
        assert "ROUTER_CONFIG" in found.mend
        assert found.place == str(path)


WORDS = st.text(string.ascii_letters + string.digits + " :/-_.#{}[]'\"é", min_size=0, max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(WORDS.filter(lambda word: word != "<<"), VALUES, min_size=1, max_size=5), st.booleans())
def test_what_is_written_is_read(written: dict[str, Any], flow: bool) -> None:
    """Whatever PyYAML writes (it quotes what 1.1 would misread, so 1.2 reads the same), and each value has a place."""
    document = parse("f", yaml.safe_dump(written, default_flow_style=flow, allow_unicode=True))
    assert document.value == written
    assert _paths(written, ()) == set(document.values)


def _paths(value: Any, path: tuple[str | int, ...]) -> set[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(_paths(inner, (*path, key)) for key, inner in below))


@given(st.binary(max_size=60) | st.text("{}[]:,-&*!|>'\"%@`# \n\tab0", max_size=40).map(str.encode))
def test_any_bytes_give_a_document_or_findings(data: bytes) -> None:
    found: tuple[Finding, ...] = ()
    try:
        assert isinstance(parse("f", decode("f", data)).value, dict)
    except ConfigError as error:
        found = error.findings
    assert all(finding.message and finding.mend for finding in found)


@given(st.integers(0, 2**64))
def test_numbers(number: int) -> None:
    assert plain(str(number)) == plain(hex(number)) == number
    assert not isinstance(plain("0" + str(number)), int)
