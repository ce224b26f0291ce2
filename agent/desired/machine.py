"""Machines that are not the router's: what a VM with containers, and the hypervisor below it, must be told."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface, IPv6Network


@dataclass(frozen=True, slots=True)
class FixedNetwork:
    """A Docker network for containers that the configuration knows: `members` are (name, address) within `subnet`."""

    name: str
    subnet: IPv6Network
    gateway: IPv6Address
    members: tuple[tuple[str, IPv6Address], ...]


@dataclass(frozen=True, slots=True)
class DockerMachine:
    """A VM with a Docker engine: its own address and gateway, and how its containers' prefix is shared out.

    `containers` is the whole prefix. `bridge` is the default bridge's part, `pool` what networks without a subnet of
    their own are cut from, in pieces of `size`; `fixed` are networks of known containers. All are disjoint.
    """

    name: str
    mac: str
    address: IPv6Interface
    gateway: IPv6Address
    containers: IPv6Network
    bridge: IPv6Network
    pool: IPv6Network
    size: int
    fixed: tuple[FixedNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class RouterNic:
    """A NIC for the router: one end of a veth pair, `peer` the other, on the bridge. `mac` empty: any."""

    name: str
    peer: str
    mac: str = ""


@dataclass(frozen=True, slots=True)
class GuestNic:
    """A VM's NIC on a bridge; `port` is the hypervisor's end of it where it is known, like tap101i1."""

    name: str
    mac: str
    port: str = ""


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge of the hypervisor with the router's NICs on it. `port`: a NIC of the machine, empty for none.

    `isolated`: each of the `machines` whose port is known reaches the router alone, with its own MAC address alone.
    """

    name: str
    purpose: str
    nics: tuple[RouterNic, ...]
    port: str = ""
    isolated: bool = False
    machines: tuple[GuestNic, ...] = ()


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """The bridges of a hypervisor."""

    bridges: tuple[Bridge, ...]
