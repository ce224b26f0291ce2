"""What the firewall's rules know of docker hosts (VMs) and of what their containers have open."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Literal, TypeAlias

Port: TypeAlias = tuple[IPv6Address, Literal["tcp", "udp"], int]


@dataclass(frozen=True, slots=True)
class Machines:
    """The docker hosts of a zone: (prefix, MAC) of each. A prefix is a source there from its MAC alone."""

    zone: str
    sources: tuple[tuple[IPv6Network, str], ...] = ()

    def __hash__(self) -> int:
        """Cheap: there may be thousands, and it is the key of a cache at every event."""
        return hash((self.zone, len(self.sources)))


@dataclass(frozen=True, slots=True)
class Exposed:
    """What is open from outside on one docker host: (address of a container, protocol, port)."""

    host: str
    ports: tuple[Port, ...] = ()

    def __hash__(self) -> int:
        """Cheap: see `Machines`."""
        return hash((self.host, len(self.ports)))
