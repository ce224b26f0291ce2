"""libyaml and PyYAML's own parser read the same: the fast one is used where it is there, the other tells errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agent.config import ConfigError, document
from agent.config.document import Document, parse

pytestmark = pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML without libyaml")
ROOT = Path(__file__).resolve().parents[2]
FILES = (*sorted((ROOT / "compose").glob("router-*.yaml")), ROOT / "tests" / "lab" / "router.yaml")
PIECES = ["a", "b", "1", "::1", "0x10", " ", "  ", "\n", "\n  ", "\n- ", ": ", ":", "- ", ", ", "{ ", " }", "[", "]"]
MORE = [
    '"',
    "'",
    "#",
    " #",
    "&x ",
    "*x",
    "!",
    "|",
    "|\n  ",
    ">",
    "%",
    "@",
    "?",
    "? ",
    "---\n",
    "...",
    "\t",
    "<<: ",
    "é",
]


def slow(text: str) -> Document:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "_FastNodes", None)
        return parse("x.yaml", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_examples_are_read_alike_places_included(path: Path) -> None:
    text = path.read_text()
    assert parse("x.yaml", text) == slow(text)


@given(st.lists(st.sampled_from(PIECES + MORE), max_size=14).map("".join))
@example("a: { b: 1 }\n")
def test_what_both_read_they_read_alike(text: str) -> None:
    try:
        expected = slow(text)
    except ConfigError:
        return
    found = parse("x.yaml", text)
    # The place of a value that is not written differs: it is where either looked for it.
    assert (found.value, found.keys.keys()) == (expected.value, expected.keys.keys())
