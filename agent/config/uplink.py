"""`uplinks`: an uplink is an ingress, and a node of the bus."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema

from agent.config.addresses import Address4, Address6, InterfaceAddress, InterfaceAddress4, InterfaceAddress6, Prefix6
from agent.config.base import Many, MendError, Noun
from agent.config.interface import Interface
from agent.config.network import DEFAULT_PRIORITY, Priority, Vlan
from agent.config.parse import show
from agent.config.plan6 import NETWORK_LENGTH
from agent.config.probe import Probe
from agent.config.texts import Duration, EndpointText, FilePath, Key, Mac, Text

Mtu: TypeAlias = Annotated[int, Field(ge=576, le=9216)]
Nat66: TypeAlias = Annotated[
    Literal["auto", "never"], Field(description="NAT66 where no prefix maps: `auto`, or `never`")
]


def parse_delegation(value: object) -> int | Literal["none"]:
    """A prefix length or `none`."""
    if value == "none":
        return "none"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= NETWORK_LENGTH:
        raise MendError(f"{show(value)} is not a prefix length", "write a number from 1 to 64, or none")
    return value


Delegation: TypeAlias = Annotated[
    int | Literal["none"],
    PlainValidator(parse_delegation),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": NETWORK_LENGTH}, {"const": "none"}],
            "description": f"1 to {NETWORK_LENGTH}, or `none`",
        }
    ),
]


class DynamicIPv6(Noun):
    """IPv6 of an uplink that asks for its addresses."""

    delegation: Delegation | None = Field(
        default=None,
        description="length to hint at in the DHCPv6 request, `none`: ask for none; default: that of `site.prefix`",
    )
    nat66: Nat66 = "auto"


class ExtraIPv4(Noun):
    """One more IPv4 address of an uplink: a host's own, or what some networks go out by."""

    address: Address4 = Field(description="the address, without a length")
    host: str | None = Field(
        default=None, description="mapped 1:1 to this host: rules decide what comes in, and it goes out by it"
    )
    networks: Many[str] = Field(default=(), description="or shared: what these networks send goes out by it")


class StaticIPv4(Noun):
    """IPv4 of a static uplink."""

    address: InterfaceAddress4 = Field(
        description="the uplink's address with its prefix length; a /32 has its gateway on link"
    )
    gateway: Address4 = Field(description="next hop of the default route")
    extra: Many[ExtraIPv4] = Field(default=(), description="further addresses that the provider gave")


class StaticIPv6(Noun):
    """IPv6 of a static uplink."""

    address: InterfaceAddress6 = Field(description="the uplink's address with its prefix length")
    gateway: Address6 = Field(description="next hop of the default route, often fe80::1")
    prefix: Prefix6 | None = Field(default=None, description="the prefix the provider gave")
    neighbours: Literal["routed", "proxy"] = Field(
        default="routed", description="the provider routes `prefix` to us, or expects each address on link (NDP proxy)"
    )
    nat66: Nat66 = "auto"


class TunnelIPv6(Noun):
    """IPv6 of a tunnel."""

    nat66: Nat66 = "auto"


class Peer(Noun):
    """The other end of a WireGuard tunnel."""

    public_key: Key = Field(description="its public key")
    endpoint: EndpointText = Field(description="its HOST:PORT")
    keepalive: Duration | None = Field(default=None, description="a packet at least so often; default: none")


class _Uplink(Noun):
    """What uplinks of every kind have."""

    trunk: Interface | None = Field(
        default=None,
        description="NIC towards the DMZ (its VLAN is the transit network's); default: the NIC named like it",
    )
    mtu: Mtu | None = Field(default=None, description="MTU in bytes; default: that of the link (pppoe: 1492)")
    priority: Priority = Field(default=DEFAULT_PRIORITY, description="lower wins")
    metered: bool = Field(default=False, description="used only where no other uplink can be, and left at once")
    probe: Probe | None = Field(default=None, description="without it only the next hop is watched")


class _NicUplink(_Uplink):
    """An uplink on a NIC of its own."""

    interface: Interface | None = Field(default=None, description="NIC towards the ISP; default: the NIC named `wan`")
    vlan: Vlan | None = Field(default=None, description="VLAN id towards the ISP (802.1Q)")
    set_mac: Mac | None = Field(default=None, description="MAC address to use towards the ISP")


class PppoeUplink(_NicUplink):
    """PPP over Ethernet (RFC 2516), addresses by IPCP and DHCPv6."""

    kind: Literal["pppoe"] = Field(description="PPP over Ethernet")
    username: Text = Field(description="user name of the PPP session")
    password_file: FilePath = Field(description="its password")
    ipv6: DynamicIPv6 = Field(default=DynamicIPv6.model_construct(), description="DHCPv6 and NAT66")


class DhcpUplink(_NicUplink):
    """IPoE: addresses by DHCPv4, DHCPv6 and router advertisements."""

    kind: Literal["dhcp"] = Field(description="IPoE with DHCPv4 and DHCPv6")
    ipv6: DynamicIPv6 = Field(default=DynamicIPv6.model_construct(), description="DHCPv6 and NAT66")


class StaticUplink(_NicUplink):
    """Addresses written here."""

    kind: Literal["static"] = Field(description="addresses written here")
    ipv4: StaticIPv4 | None = Field(default=None, description="without it: no IPv4")
    ipv6: StaticIPv6 | None = Field(default=None, description="without it: no IPv6")


class WireguardUplink(_Uplink):
    """A tunnel whose outer packets go through the firewall like any client's: it has no `interface`."""

    kind: Literal["wireguard"] = Field(description="a WireGuard tunnel")
    private_key_file: FilePath = Field(description="our private key")
    addresses: Many[InterfaceAddress] = Field(description="our addresses in the tunnel, ADDRESS/LENGTH")
    peer: Peer = Field(description="the other end")
    mtu: Mtu | None = Field(default=1420, description="MTU in bytes")
    ipv6: TunnelIPv6 = Field(default=TunnelIPv6.model_construct(), description="NAT66")


Uplink: TypeAlias = Annotated[PppoeUplink | DhcpUplink | StaticUplink | WireguardUplink, Field(discriminator="kind")]
AnyUplink: TypeAlias = PppoeUplink | DhcpUplink | StaticUplink | WireguardUplink
KINDS = ("pppoe", "dhcp", "static", "wireguard")
