"""What the DHCPv6 server offers: the values that kea-dhcp6.conf is made from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from agent.desired import Document


@dataclass(frozen=True, slots=True)
class Reservation6:
    """An address kept for a client, known by its DUID (hex with colons) or by its MAC."""

    address: IPv6Address
    mac: str = ""
    duid: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class Dhcp6Subnet:
    """DHCPv6 on one network. `lease` in seconds.

    `pool`: first and last address to lease, None for none (stateless). `delegation`: the prefix that prefixes of
    `delegated_length` are taken from, None for none. `dns`, `search`: options 23 and 24 (RFC 3646). `number` is Kea's
    subnet id: it stays, leases refer to it. `ddns`: the domain in which clients get names, empty for none.
    `index`: the device's ifindex, see `Dhcp4Subnet`.
    """

    number: int
    device: str
    network: IPv6Network
    lease: int
    pool: tuple[IPv6Address, IPv6Address] | None = None
    delegation: IPv6Network | None = None
    delegated_length: int = 64
    dns: tuple[IPv6Address, ...] = ()
    search: tuple[str, ...] = ()
    reservations: tuple[Reservation6, ...] = ()
    index: int = 0
    ddns: str = ""


@dataclass(frozen=True, slots=True)
class KeaDhcp6Config(Document):
    """kea-dhcp6.conf. `hook`: the program that is told of each lease, where prefixes are delegated."""

    subnets: tuple[Dhcp6Subnet, ...]
    state: str = "/var/lib/router/kea"
    run: str = "/run/kea"
    hook: str = "/usr/lib/router/kea-hook"
