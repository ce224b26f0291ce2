"""The order of a network's uplinks: names, best first; those with a weight share what stands at their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from agent.config.base import MendError
from agent.config.parse import show

MOST_WEIGHT = 100
_MEND = "write the uplink's name, or { NAME: { weight: N } }"

Failback: TypeAlias = Literal["soft", "hard", "manual"]


@dataclass(frozen=True, slots=True)
class Preference:
    """An uplink in the order of a network. Neighbours in the order that have a weight share new connections by it."""

    uplink: str
    weight: int | None = None

    def __str__(self) -> str:
        return self.uplink if self.weight is None else f"{self.uplink}:{self.weight}"


def parse_preference(value: object) -> Preference:
    """`NAME`, or `{ NAME: { weight: N } }`."""
    if isinstance(value, Preference):
        return value
    if isinstance(value, str):
        return Preference(value)
    if not isinstance(value, Mapping) or len(value) != 1:
        raise MendError(f"{show(value)} is not an uplink in an order", _MEND)
    ((name, options),) = value.items()
    if not isinstance(options, Mapping) or set(options) != {"weight"}:
        raise MendError(
            f"{show(options)} after `{name}` where its weight is expected", f"write {{ {name}: {{ weight: 3 }} }}"
        )
    weight = options["weight"]
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MOST_WEIGHT:
        raise MendError(f"{show(weight)} is not a weight", f"write a whole number from 1 to {MOST_WEIGHT}")
    return Preference(str(name), weight)


UplinkPreference: TypeAlias = Annotated[
    Preference,
    PlainValidator(parse_preference),
    WithJsonSchema(
        {
            "description": "an uplink, or `{ NAME: { weight: N } }`",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": {
                        "type": "object",
                        "properties": {"weight": {"type": "integer", "minimum": 1, "maximum": MOST_WEIGHT}},
                        "required": ["weight"],
                        "additionalProperties": False,
                    },
                },
            ],
        }
    ),
]


def groups(order: Iterable[Preference]) -> tuple[tuple[Preference, ...], ...]:
    """The order as places, best first: neighbours with a weight share one place, every other uplink has its own."""
    found: list[tuple[Preference, ...]] = []
    for entry in order:
        if entry.weight is not None and found and found[-1][-1].weight is not None:
            found[-1] = (*found[-1], entry)
        else:
            found.append((entry,))
    return tuple(found)
