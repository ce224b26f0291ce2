"""The scheme itself, read from the models: which keys there are at a key path."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.config.finding import KeyPath


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The YAML keys of a model, in order."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def unwrapped(annotation: Any) -> Iterator[Any]:
    """The kinds an annotation allows, without Annotated, None and unions."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from unwrapped(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for part in get_args(annotation):
            yield from unwrapped(part)
    elif annotation is not type(None):
        yield annotation


def below(annotation: Any) -> tuple[Any, ...]:
    """What the entries of a mapping or list are made of."""
    return tuple(
        entry
        for kind in unwrapped(annotation)
        for arguments in (get_args(kind),)
        for entry in unwrapped(
            arguments[1] if get_origin(kind) is Mapping else arguments[0] if get_origin(kind) is tuple else None
        )
        if get_origin(kind) in {Mapping, tuple}
    )


def models_in(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models among the kinds an annotation allows."""
    return tuple(k for k in unwrapped(annotation) if isinstance(k, type) and issubclass(k, BaseModel))


def models_at(root: type[BaseModel], path: KeyPath) -> tuple[type[BaseModel], ...]:
    """The models that may stand at a key path; several where `kind` decides."""
    kinds: tuple[Any, ...] = (root,)
    for part in path:
        following: list[Any] = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                info = keys_of(kind).get(str(part))
                following += unwrapped(info.annotation) if info else ()
            else:
                following += below(kind)
        kinds = tuple(following)
    return tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
