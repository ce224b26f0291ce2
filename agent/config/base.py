"""What every model of the configuration has in common."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

Item = TypeVar("Item")


class MendError(ValueError):
    """A value that is wrong: what is wrong with it, and how to mend it. Both are sentences without a full stop."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend


class Noun(BaseModel):
    """A part of the configuration: frozen, and a key that it does not know is an error.

    Strict: a quoted number is no number, and `true` is not 1.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


def as_tuple(value: object) -> object:
    """A list as a tuple; all else is left for the model to judge."""
    return tuple(value) if isinstance(value, list) else value


def as_names(value: object) -> object:
    """One word or a list of words, as a tuple."""
    return (value,) if isinstance(value, str) else as_tuple(value)


Many: TypeAlias = Annotated[tuple[Item, ...], BeforeValidator(as_tuple)]
