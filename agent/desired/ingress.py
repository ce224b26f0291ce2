"""What an ingress shall be: the values its nftables rules and its daemons' files are made from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from agent.desired import Document, Table
from agent.model import Family, IPNetwork, PrefixMapping


@dataclass(frozen=True, slots=True)
class Forward:
    """An IPv4 port forward: `first`..`last` of the uplink's address to `to`, from inside port `to_first` upwards.

    `sources`: who may use it, None for everybody.
    """

    protocol: Literal["tcp", "udp"]
    first: int
    last: int
    to: IPv4Address
    to_first: int
    sources: tuple[IPv4Network, ...] | None = None


@dataclass(frozen=True, slots=True)
class IngressStatic:
    """What changes with the configuration or the devices that exist: the skeleton is made from this alone.

    `wan` and `dmz` are device names, None while there is no such device: nothing is then forwarded there. `wan_index`
    is the device's number: its successor of the same name needs the egress guard hooked anew. `internal4` and
    `internal6` are the prefixes that never show on the uplink, but `routed6`: those that mean the same on both sides.
    `firewall_mac`: the only source of router advertisements on the DMZ, empty where the configuration has none.
    `private`: the uplink is a private network (a tunnel), where unique local addresses are at home.
    `mac`: the only one that packets may leave with, empty where any may. `public4`: (address of the uplink, host)
    mapped 1:1. `shared4`: (network, address of the uplink) of networks with a source of their own.
    `flowtable`: the kernel offloads flows: tracked ones between wan and dmz then skip the chains. `lends`: hosts may
    have global addresses.
    """

    wan: str | None = None
    wan_index: int = 0
    dmz: str | None = None
    internal4: tuple[IPv4Network, ...] = ()
    internal6: tuple[IPv6Network, ...] = ()
    routed6: tuple[IPv6Network, ...] = ()
    forwards: tuple[Forward, ...] = ()
    firewall_mac: str = ""
    private: bool = False
    mac: str = ""
    public4: tuple[tuple[IPv4Address, IPv4Address], ...] = ()
    shared4: tuple[tuple[IPv4Network, IPv4Address], ...] = ()
    flowtable: bool = False
    lends: bool = False


@dataclass(frozen=True, slots=True)
class IngressTable(Table):
    """The rules of an ingress: what is static, and the facts of this moment.

    `own4`, `own6`: the uplink's own addresses, never translated. `nat44`, `nat66`: the source that tracked flows get,
    None for no such translation. `source6`: the source of the ingress's own ICMPv6 errors about mapped hosts.
    `reserved6`: internal addresses whose translation would be one of `own6`: no host may use them.
    `mappings`: stateless 1:1 translation, pairwise disjoint inside and outside. `alive`: families that carry packets:
    the firewall's own probe is answered so, which needs no bus. `lent`: /64s that hosts have of the uplink's prefix,
    routed as they are; `closed`: internal ones that translation would make those.
    """

    static: IngressStatic
    own4: tuple[IPv4Address, ...] = ()
    own6: tuple[IPv6Address, ...] = ()
    nat44: IPv4Address | None = None
    nat66: IPv6Address | None = None
    source6: IPv6Address | None = None
    reserved6: tuple[IPv6Address, ...] = ()
    mappings: tuple[PrefixMapping, ...] = ()
    alive: frozenset[Family] = frozenset({4, 6})
    lent: tuple[IPv6Network, ...] = ()
    closed: tuple[IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class DhcpcdUplink:
    """The uplink's part of dhcpcd.conf. `delegation`: the length asked for (RFC 8415 section 6.3), None for none."""

    interface: str
    ipv4: bool = True
    ipv6: bool = True
    delegation: int | None = None


@dataclass(frozen=True, slots=True)
class DhcpcdConfig(Document):
    """dhcpcd.conf of an ingress: a DHCPv4 client on the DMZ, and where it is one, a DHCP client on the uplink.

    `client_id` is sent on the DMZ (the node's name); `hook` is the program that takes the leases.
    """

    dmz: str
    client_id: str
    uplink: DhcpcdUplink | None = None
    hook: str = "/usr/lib/router/dhcpcd-hook"


@dataclass(frozen=True, slots=True)
class PppPeer(Document):
    """A PPPoE session (RFC 2516): pppd's peers file. `nic` carries it; `mtu` in bytes is that of the PPP link."""

    nic: str
    interface: str
    username: str
    mtu: int


@dataclass(frozen=True, slots=True)
class PppSecrets(Document):
    """pppd's secrets file for `method`: refers to the file with the password and never holds it."""

    method: Literal["chap", "pap"]
    username: str
    password_file: str


@dataclass(frozen=True, slots=True)
class WireguardConfig(Document):
    """A WireGuard tunnel for `wg syncconf` (wg(8)); the private key stays in its file. `keepalive` in seconds."""

    interface: str
    private_key_file: str
    public_key: str
    endpoint: str
    keepalive: int | None
    allowed: tuple[IPNetwork, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
