"""What pydantic says of a field, as a sentence with a mend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from agent.config.base import MendError
from agent.config.finding import Complaint, KeyPath
from agent.config.parse import show
from agent.config.scheme import keys_of, models_at
from agent.config.uplink import KINDS

_UPLINKS = "uplinks"
_KIND_AT = 2
_MAPPING = ("{shown} where keys are expected", "write `key: value` lines below it, indented, or {{ key: value }}")
_LIST = ("{shown} where a list is expected", "write {list}")
# pydantic's type of error → what is wrong, how to mend it.
_SENTENCES = {
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "mapping_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "literal_error": ("{shown} is not one of the words", "write {words}"),
    "bool_type": ("{shown} is neither true nor false", "write true or false"),
    "string_type": ("{shown} is not a name", "write one word; quote it when it looks like a number"),
    "int_type": ("{shown} is not a whole number", "{number}"),
    "greater_than_equal": ("{shown} is too small", "write at least {ge}"),
    "less_than_equal": ("{shown} is too large", "write at most {le}"),
    "too_short": ("an empty list", "write at least one entry, or leave the key out"),
    "union_tag_not_found": ("the key `kind` is missing", "add `kind: …`, one of {kinds}"),
    "union_tag_invalid": ("`{tag}` is not a kind of uplink", "{near}"),
}


def near(word: str, known: Iterable[str], otherwise: str) -> str:
    """`write X` where one of the known words is close to the one written, else `otherwise`."""
    found = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"write `{found[0]}`" if found else otherwise


def key_path(location: tuple[str | int, ...]) -> KeyPath:
    """Pydantic's location without the name it gives to the kind of an uplink."""
    if len(location) > _KIND_AT and location[0] == _UPLINKS and location[_KIND_AT] in KINDS:
        return (*location[:_KIND_AT], *location[_KIND_AT + 1 :])
    return location


def _kind(location: tuple[str | int, ...]) -> str:
    return str(location[_KIND_AT]) if key_path(location) != location else ""


def complaint(root: type[BaseModel], error: ErrorDetails) -> Complaint:
    """One error of pydantic as a complaint."""
    path = key_path(error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        return unknown_key(root, path, _kind(error["loc"]))
    if kind == "missing":
        return _missing(root, path, _kind(error["loc"]))
    message, mend = _sentence(kind, error["input"], error.get("ctx", {}), error["msg"])
    return Complaint(path, message, mend)


def _models(root: type[BaseModel], path: KeyPath, kind: str) -> list[type[BaseModel]]:
    found = models_at(root, path)
    if len(path) >= _KIND_AT and kind:
        fitting = (
            [m for m in found if f"'{kind}'" in str(m.model_fields["kind"].annotation)] if _has_kind(found) else found
        )
        return list(fitting)
    return list(found)


def _has_kind(models: Iterable[type[BaseModel]]) -> bool:
    return all("kind" in model.model_fields for model in models)


def unknown_key(root: type[BaseModel], path: KeyPath, kind: str = "") -> Complaint:
    """A key that the model at its place does not have. `kind` is that of the uplink it stands in."""
    known = list(dict.fromkeys(key for model in _models(root, path[:-1], kind) for key in keys_of(model)))
    mend = near(str(path[-1]), known, f"delete it; the keys here are {', '.join(known)}")
    where = f" for an uplink of kind {kind}" if kind else ""
    return Complaint(path, f"there is no key `{path[-1]}` here{where}", mend, at_key=True)


def _missing(root: type[BaseModel], path: KeyPath, kind: str) -> Complaint:
    infos = [keys_of(model).get(str(path[-1])) for model in _models(root, path[:-1], kind)]
    meaning = next((f" ({info.description})" for info in infos if info and info.description), "")
    return Complaint(path, f"the key `{path[-1]}` is missing", f"add `{path[-1]}: …`{meaning}", at_key=True)


def _sentence(kind: str, value: Any, context: Mapping[str, Any], said: str) -> tuple[str, str]:
    cause = context.get("error")
    if isinstance(cause, MendError):
        return cause.message, cause.mend
    message, mend = _SENTENCES.get(kind, (said, "see docs/configuration.md"))
    words = {
        **context,
        "shown": show(value),
        "list": f"[{value}]" if isinstance(value, str) else "[a, b]",
        "number": _number_mend(value),
        "words": str(context.get("expected", "")).replace("'", "`"),
        "kinds": ", ".join(KINDS),
        "near": near(str(context.get("tag")), KINDS, f"write one of {', '.join(KINDS)}"),
    }
    return message.format_map(words), mend.format_map(words)


def _number_mend(value: object) -> str:
    text = value if isinstance(value, str) else ""
    if text.lstrip("+-0").isdecimal() and text.isascii():
        return f"write {int(text)}, without quotes or leading zeros"
    return "write a whole number, decimal (16) or hex (0x10)"
