"""Names that the agent keeps in zones by dynamic update (RFC 2136): inside in our own named, outside at a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.model import IPAddress

RecordType: TypeAlias = Literal["A", "AAAA", "PTR", "TXT"]


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """One record. `name` is absolute, without the last dot; so is the `data` of a PTR. TXT: one string."""

    name: str
    type: RecordType
    data: str


@dataclass(frozen=True, slots=True)
class ZoneTarget:
    """What a zone shall hold, kept at its primary server by updates with a TSIG key. `ttl` in seconds.

    `whole`: the zone is ours: it is transferred, and what is in it neither by DHCP (a name with a DHCID record,
    RFC 4701) nor in `records` goes. Else only the addresses of `records`' names, and of names that were kept before,
    are looked at.
    """

    zone: str
    server: IPAddress
    port: int
    key_file: str
    records: tuple[Record, ...]
    ttl: int
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """The zones of our own named, and the one outside."""

    local: tuple[ZoneTarget, ...] = ()
    public: ZoneTarget | None = None
