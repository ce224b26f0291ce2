"""`probe`: how an ingress finds out whether its uplink carries packets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent.config.base import Many, Noun
from agent.config.share import Percent, Share
from agent.config.target import ProbeTarget
from agent.config.texts import Duration


class Probe(Noun):
    """Probing of an uplink's path, per family: a round fails when no target of the family answers in time."""

    targets: Many[ProbeTarget] = Field(
        description="what to ask: addresses that answer ping, or URLs of TCP, DNS and HTTP; of both families"
    )
    interval: Duration = Field(default=0.3, description="from the start of one round to the next")
    timeout: Duration = Field(default=0.3, description="how long a round waits for an answer")
    quorum: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1, description="targets of a family that must answer for a good round"
    )
    fail_after: Annotated[int, Field(ge=1, le=1000)] = Field(default=3, description="failed rounds in a row: down")
    recover_after: Annotated[int, Field(ge=1, le=1000)] = Field(default=10, description="good rounds in a row: up")
    degraded_loss: Percent = Field(default=Share(0.25), description="more loss than this: degraded")
    degraded_latency: Duration | None = Field(
        default=None, description="a longer round trip than this: degraded; default: never"
    )
