"""What the containers of docker hosts ask to have opened from outside, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Literal, TypeAlias

from agent.desired.docker_hosts import Exposed
from agent.model import PortSpan

Agent: TypeAlias = Literal["silent", "ready", "away", "lost"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a container asks for: open, or refused (`reason` in words).

    `address` and `span` are None where there is nothing that could be opened: the reason says why.
    """

    container: str
    address: IPv6Address | None
    span: PortSpan | None
    open: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HostExposure:
    """A docker host. `agent`: silent (not heard, or its word has expired), ready, away (it left), lost (it broke off).

    `error`: why its agent does not know its containers. `refused` of `requests` are not open; `exposed` is what
    follows from them for nftables.
    """

    host: str
    agent: Agent
    error: str = ""
    left_out: int = 0
    containers: int = 0
    requests: tuple[Request, ...] = ()
    refused: int = 0
    exposed: Exposed | None = None
