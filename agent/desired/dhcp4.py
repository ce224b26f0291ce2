"""What the DHCPv4 server offers: the values that kea-dhcp4.conf is made from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agent.desired import Document


@dataclass(frozen=True, slots=True)
class Reservation:
    """An address kept for a client, known by its MAC or by its DHCP client id (text; type 0, RFC 2132 9.14)."""

    address: IPv4Address
    mac: str = ""
    client_id: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class Dhcp4Subnet:
    """DHCPv4 on one network. `pool`, `more_pools`: first and last. `router` None: no option 3. `lease` in seconds.

    `routes`: (network, next hop) of option 121 (RFC 3442). `options`: (code, bytes) of further ones; they replace what
    is said here of the same code. `number` is Kea's subnet id: it stays, leases refer to it.
    `ddns`: the domain in which clients get names, empty for none.
    `index`: the device's ifindex. A device that is made anew under its name needs a new socket, so a reload.
    """

    number: int
    device: str
    network: IPv4Network
    pool: tuple[IPv4Address, IPv4Address]
    lease: int
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    domain: str = ""
    routes: tuple[tuple[IPv4Network, IPv4Address], ...] = ()
    reservations: tuple[Reservation, ...] = ()
    index: int = 0
    more_pools: tuple[tuple[IPv4Address, IPv4Address], ...] = ()
    options: tuple[tuple[int, bytes], ...] = ()
    ddns: str = ""


@dataclass(frozen=True, slots=True)
class KeaDhcp4Config(Document):
    """kea-dhcp4.conf."""

    subnets: tuple[Dhcp4Subnet, ...]
    state: str = "/var/lib/router/kea"
    run: str = "/run/kea"
