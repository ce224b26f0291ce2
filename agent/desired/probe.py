"""What shall be probed: by an ingress through its uplink, by the firewall on the DMZ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import Literal, TypeAlias

from agent.model import Family, IPAddress

TargetKind: TypeAlias = Literal["echo", "neighbour", "tcp", "dns", "http"]
# What the kernel knows of the next hop: its link-layer address, that it does not answer, or neither.
NextHop: TypeAlias = Literal["found", "lost", "unknown"]
# Seconds that an answer is waited for at least: slow is not dead, a satellite link or a full queue takes so long.
LATE = 3.0
# The identifier of the firewall's echo requests to an ingress: by it the ingress knows that its uplink is asked for.
WATCH_IDENTIFIER = 0x5257
# It answers by the hop limit of its reply: one of these, or the kernel's own where every family carries packets.
WATCH_DEAD: Mapping[frozenset[Family], int] = MappingProxyType(
    {frozenset({4}): 101, frozenset({6}): 102, frozenset({4, 6}): 103}
)


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers. `neighbour`: the next hop by ARP (RFC 826) or neighbour discovery (RFC 4861).

    `host`: of a URL; where `address` is None it is a name, to be asked of the uplink's own DNS servers. `name`: of a
    DNS query. `path`: of a URL. `tls`: of a URL with https.
    """

    kind: TargetKind
    address: IPAddress | None = None
    port: int = 0
    host: str = ""
    name: str = ""
    path: str = ""
    tls: bool = False

    def __str__(self) -> str:
        where = self.host or str(self.address)
        where = f"[{where}]" if ":" in where and self.kind not in {"echo", "neighbour"} else where
        match self.kind:
            case "echo":
                return where
            case "neighbour":
                return f"next hop {where}"
            case "dns":
                return f"dns://{where}/{self.name}"
            case "tcp":
                return f"tcp://{where}:{self.port}"
            case "http":
                return f"http{'s' if self.tls else ''}://{where}{self.path}"


@dataclass(frozen=True, slots=True)
class Rounds:
    """How a verdict is made. Times in seconds, `max_loss` 0..1; see `agent.health`.

    `quorum`: targets that must answer for a good round. `doubt`: silence counts only after a first answer, since what
    is asked may never answer; until then the kernel's own questions to the next hop decide.
    """

    interval: float = 0.3
    timeout: float = 0.3
    fail_after: int = 3
    recover_after: int = 10
    quorum: int = 1
    max_loss: float | None = 0.25
    max_latency: float | None = None
    doubt: bool = False

    @property
    def late(self) -> float:
        """Seconds after which an answer proves nothing any more: a longer round trip looks like no answer at all."""
        return max(self.interval * self.fail_after, LATE)

    @property
    def first(self) -> int:
        """Bad rounds for a first verdict: all in which the answer to the first question may still come."""
        return max(self.fail_after, math.ceil(self.late / self.interval))


@dataclass(frozen=True, slots=True)
class FamilyProbes:
    """The targets of one family, asked with `source` in `rounds`. `dns`: the uplink's servers, for names.

    `next_hop` lost: the kernel has given it up (neighbour state failed), that is a failure at once.
    `was_down`: the family was down when an earlier life of the agent ended; it is so until it proves otherwise.
    """

    family: Family
    source: IPAddress
    targets: tuple[Target, ...]
    rounds: Rounds
    dns: tuple[IPAddress, ...] = ()
    next_hop: NextHop = "unknown"
    was_down: bool = False


@dataclass(frozen=True, slots=True)
class Probes:
    """All probes of an ingress, through the device `device` (ifindex `index`)."""

    device: str
    index: int
    families: tuple[FamilyProbes, ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """An ingress on the DMZ: an uplink's name and the link-local address to ask."""

    uplink: str
    address: IPv6Address


@dataclass(frozen=True, slots=True)
class Watch:
    """The ingresses that the firewall asks on the device `device` (ifindex `index`), best uplink first."""

    device: str
    index: int
    ingresses: tuple[Watched, ...] = ()
