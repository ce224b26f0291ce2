"""The choice of an uplink as a JSON object, and back."""

from __future__ import annotations

import math
from typing import Any

from agent.model import FamilyChoice
from agent.wire import reader
from agent.wire.reader import Fields, clean
from agent.wire.topics import NAME


def write_choice(choice: FamilyChoice, now: float) -> dict[str, Any]:
    """Give the JSON object of one family's choice."""
    document: dict[str, Any] = {"uplink": choice.uplink, "why": clean(choice.why)}
    if choice.shares:
        document["shares"] = [{"uplink": name, "weight": weight} for name, weight in choice.shares]
    if choice.since is not None:
        document["for"] = age_of(choice.since, now)
    if choice.considered:
        document["considered"] = [{"uplink": name, "against": clean(said)} for name, said in choice.considered]
    return document


def age_of(since: float, now: float) -> int:
    """Give the whole seconds since a moment."""
    return min(max(math.floor(now - since), 0), reader.MAX_SECONDS)


def read_choice(fields: Fields, family: str, now: float) -> FamilyChoice:
    """Read one family's choice; it must be there."""
    inner = fields.inner(family)
    if inner is None:
        raise fields.error(family, "missing")
    uplink = inner.name("uplink", NAME) if inner.has("uplink") else None
    age = inner.seconds("for")
    return FamilyChoice(
        uplink,
        inner.text("why"),
        tuple((item.name("uplink", NAME), item.integer("weight", 1, 1000)) for item in inner.inner_items("shares")),
        None if age is None else now - age,
        tuple(
            (item.name("uplink", NAME), item.text("against", default="")) for item in inner.inner_items("considered")
        ),
    )
