"""`networks`: a network is a zone and an interface of the firewall."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from agent.config.addresses import Gateway4
from agent.config.base import Many, Noun
from agent.config.dhcp import Dhcp4, Dhcp6
from agent.config.interface import Interface
from agent.config.preference import Failback, UplinkPreference
from agent.config.texts import Duration

Vlan: TypeAlias = Annotated[int, Field(ge=1, le=4094)]
Priority: TypeAlias = Annotated[int, Field(ge=0, le=65535)]
DEFAULT_PRIORITY = 100


class Network(Noun):
    """A network behind the firewall. Its key is the zone in rules and the name of its interface."""

    interface: Interface | None = Field(
        default=None, description="NIC of its own; default: the trunk with `vlan`, or the NIC named like the network"
    )
    vlan: Vlan | None = Field(default=None, description="VLAN id on the trunk (802.1Q)")
    subnet: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="number of its /64 in `site.prefix`, best in hex (0x10); without it: no IPv6 prefix"
    )
    ipv4: Gateway4 | None = Field(
        default=None, description="IPv4 network; the firewall is its first host, or the address written"
    )
    dhcp4: Dhcp4 | None = Field(default=None, description="DHCPv4; without it addresses are set by hand")
    dhcp6: Dhcp6 = Field(default=Dhcp6.model_construct(), description="DHCPv6; default: none")
    publish_leases: bool = Field(
        default=False, description="who has which lease is told on the bus, names and MACs included"
    )
    addressing: Literal["internal", "global", "both"] = Field(
        default="internal", description="the prefixes radvd announces: of `site.prefix`, of the ISP, or both"
    )
    uplinks: Many[UplinkPreference] | None = Field(
        default=None, description="only these, best first; default: every uplink by its priority"
    )
    balance: Literal["flow", "source"] = Field(
        default="flow", description="what uplinks with weights share: each connection, or each host (`source`)"
    )
    failback: Failback | None = Field(default=None, description="as in `site`, for this network; default: the site's")
    failback_limit: Duration | None = Field(default=None, description="as in `site`, for this network")
    priority: Priority = Field(
        default=DEFAULT_PRIORITY, description="lower first: who gets a /64 when an ISP's prefix is too small for all"
    )
    transit: bool = Field(default=False, description="the network where the ingresses live (DMZ)")

    @property
    def serves_dhcp6(self) -> bool:
        """Whether a DHCPv6 server answers there."""
        wanted = self.dhcp6.mode != "none" or self.dhcp6.delegate is not None
        return wanted and not self.transit and self.subnet is not None

    @property
    def ipv4_network(self) -> IPv4Network | None:
        """The IPv4 network that `ipv4`, the firewall's address, lies in."""
        return self.ipv4.network if self.ipv4 else None
