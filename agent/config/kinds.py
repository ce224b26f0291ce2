"""What may be written for a key, in words: for the reference."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo

from agent.config.share import Share
from agent.config.texts import duration_text


def kind_text(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """The kind of value an annotation stands for."""
    details = list(metadata)
    for detail in details:
        if isinstance(detail, WithJsonSchema) and detail.json_schema and "description" in detail.json_schema:
            return str(detail.json_schema["description"])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind_text(arguments[0], arguments[1:])
    if origin in {Union, types.UnionType}:
        parts = [kind_text(part) for part in arguments if part is not type(None)]
        return " or ".join(dict.fromkeys(parts))
    if origin is Literal:
        return " or ".join(f"`{word}`" for word in arguments)
    if origin is tuple:
        return f"list of: {kind_text(arguments[0])}"
    return _simple(annotation, details)


def _simple(annotation: Any, details: Iterable[Any]) -> str:
    if get_origin(annotation) is Mapping:
        return "name → keys below"
    if annotation is bool:
        return "`true` or `false`"
    if annotation is int:
        return _number(details)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys below"
    return "a name"


def _number(details: Iterable[Any]) -> str:
    bounds = [bound for detail in details for bound in (detail.metadata if isinstance(detail, FieldInfo) else [detail])]
    least = next((bound.ge for bound in bounds if isinstance(bound, Ge)), None)
    most = next((bound.le for bound in bounds if isinstance(bound, Le)), None)
    if least is None:
        return "a number"
    return f"{least} to {most}" if most is not None else f"{least} or more"


def default_text(info: FieldInfo) -> str:
    """The default of a key as it would be written."""
    if info.is_required():
        return "required"
    value = info.default
    if value is None or isinstance(value, tuple | dict | BaseModel):
        return "-"
    if isinstance(value, float) and not isinstance(value, Share):
        return f"`{duration_text(value)}`"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"
