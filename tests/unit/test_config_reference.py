"""What is generated from the models: the reference and the JSON Schema."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from agent.config import check, render_findings
from agent.config.document import parse
from agent.config.environment import overridable
from agent.config.reference import BEGIN, END, reference, with_reference
from agent.config.schema import schema
from agent.config.scheme import keys_of, models_at
from agent.config.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/configuration.md"
EXAMPLES = [
    ROOT / "compose/router-home.yaml",
    ROOT / "compose/router-hoster.yaml",
    Path(__file__).parent / "config/lab.yaml",
]


def test_the_committed_reference_is_current() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_reference(text) == text, "run: python -m agent.config.reference docs/configuration.md"


def test_the_rest_of_the_document_is_left_alone() -> None:
    assert with_reference(f"before\n{BEGIN}old{END}\nafter\n") == f"before\n{BEGIN}\n\n{reference()}\n{END}\nafter\n"
    with pytest.raises(ValueError, match="no generated part"):
        with_reference("no marks")


def test_the_sample_of_the_document_is_what_check_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = "ipv4: 10.20.0.0/24, dhcp4: { pool: 10.20.0.50-10.20.0.250 }"
    (tmp_path / "router.yaml").write_text(EXAMPLES[0].read_text().replace(guest, "ipv4: 10.10.0.0/16"))
    monkeypatch.chdir(tmp_path)
    said = render_findings(check(Path("router.yaml"), {}).errors)
    assert textwrap.indent(said, "    ") in DOCUMENT.read_text(encoding="utf-8")


def test_every_key_of_the_examples_is_in_the_reference_with_its_meaning() -> None:
    text = reference()
    for path in EXAMPLES:
        for key in parse("f", path.read_text()).keys:
            if models_at(Settings, key[:-1]):
                assert re.search(rf"^\| `{key[-1]}` \| [^|]+ \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE), key


def test_every_key_has_a_description() -> None:
    assert "| None |" not in reference()
    assert "## `uplinks.NAME.ipv6` of kind pppoe, dhcp\n" in reference()
    assert all(f"| `{name}` |" in reference() for name in overridable())
    assert "| `lease` | a duration (ms s m h d) | `12h` | lifetime of a lease |" in reference()


def test_keys_of_words() -> None:
    assert "from" in keys_of(models_at(Settings, ("rules", 0))[0])


def fits(value: Any, part: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value fits a JSON Schema: the vocabulary that ours uses, and no other."""
    known = {"type", "description", "default", "enum", "const", "anyOf", "oneOf", "$ref", "properties", "required"}
    known |= {"additionalProperties", "propertyNames", "items", "minItems", "minimum", "maximum", "pattern", "format"}
    known |= {"minLength", "maxLength", "discriminator", "$defs", "$schema", "title"}
    assert set(part) <= known, set(part) - known
    types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    good = [
        "type" not in part
        or (isinstance(value, types[part["type"]]) and not (value is True and part["type"] == "integer")),
        "enum" not in part or value in part["enum"],
        "const" not in part or value == part["const"],
        "$ref" not in part or fits(value, root["$defs"][part.get("$ref", "").rpartition("/")[2]], root),
        "anyOf" not in part or any(fits(value, option, root) for option in part["anyOf"]),
        "oneOf" not in part or sum(fits(value, option, root) for option in part["oneOf"]) == 1,
    ]
    if isinstance(value, dict):
        named, more = part.get("properties", {}), part.get("additionalProperties", True)
        good += [key in value for key in part.get("required", ())]
        good += [fits(inner, named[key], root) for key, inner in value.items() if key in named]
        good += [
            more and fits(inner, more, root) for key, inner in value.items() if key not in named and more is not True
        ]
        good += [bool(re.search(part["propertyNames"]["pattern"], key)) for key in value if "propertyNames" in part]
    if isinstance(value, list):
        good += [len(value) >= part.get("minItems", 0), *(fits(item, part.get("items", {}), root) for item in value)]
    if isinstance(value, int):
        good += [part.get("minimum", value) <= value <= part.get("maximum", value)]
    if isinstance(value, str):
        good += [re.search(part.get("pattern", ""), value) is not None]
    return all(good)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_fit_the_schema(path: Path) -> None:
    whole = json.loads(json.dumps(schema()))
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert fits(parse("f", path.read_text()).value, whole, whole)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("networks", "home", "vlan"), 5000),
        (("networks", "home", "vlna"), 10),
        (("networks", "home", "dhcp4", "lease"), "12"),
        (("networks", "home", "transit"), "yes"),
        (("networks", "Home"), {}),
        (("uplinks", "kpn", "kind"), "ppp"),
        (("uplinks", "odido", "username"), "u"),
        (("hosts", "nas", "mac"), "nonsense"),
        (("forwards", "web", "tcp"), "https"),
    ],
)
def test_what_does_not_fit_the_schema(path: tuple[str, ...], value: object) -> None:
    document = parse("f", EXAMPLES[0].read_text()).value
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    assert not fits(document, schema(), schema())


def test_the_schema_has_the_defaults_people_write() -> None:
    assert schema()["$defs"]["Dhcp4"]["properties"]["lease"]["default"] == "12h"
    assert "default" not in schema()["properties"]["networks"]
