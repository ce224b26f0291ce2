"""`probe`: how an ingress finds out whether its uplink carries packets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent.config.addresses import Address
from agent.config.base import Many, Noun
from agent.config.texts import Duration


class Probe(Noun):
    """Probing of an uplink's path, per family: a round fails when no target of the family answers in time."""

    targets: Many[Address] = Field(description="addresses that answer ping, of both families")
    interval: Duration = Field(default=1.0, description="from the start of one round to the next")
    timeout: Duration = Field(default=1.0, description="how long a round waits for an answer")
    fail_after: Annotated[int, Field(ge=1, le=1000)] = Field(default=3, description="failed rounds in a row: down")
    recover_after: Annotated[int, Field(ge=1, le=1000)] = Field(default=10, description="good rounds in a row: up")
