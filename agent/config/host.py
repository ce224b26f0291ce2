"""`hosts` and `docker_hosts`: machines known by name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent.config.addresses import Address4, Address6, Prefix6
from agent.config.base import Noun
from agent.config.ports import PortList, Ports
from agent.config.texts import Domain, Duid, Mac


class Host(Noun):
    """A machine: reservation, DNS name and rule target in one place. It lives in a network or on a docker host."""

    network: str | None = Field(default=None, description="the network it lives in")
    docker_host: str | None = Field(default=None, description="the docker host it runs on, instead of `network`")
    mac: Mac | None = Field(default=None, description="its MAC address: DHCP gives it `ipv4` by this")
    duid: Duid | None = Field(
        default=None, description="its DHCPv6 client identifier, in hex: DHCPv6 gives it `suffix` by this, or by `mac`"
    )
    ipv4: Address4 | None = Field(default=None, description="its IPv4 address")
    suffix: Address6 | None = Field(
        default=None, description='low bits of its IPv6 address, like "::5": 64 in a network, 48 on a docker host'
    )
    public: Domain | None = Field(
        default=None, description="its name outside, in `dns.public.zone`: the addresses behind each healthy uplink"
    )


class MayExpose(Noun):
    """The ports a docker host's agent may open from outside."""

    tcp: PortList = Field(default=(), description="TCP ports")
    udp: PortList = Field(default=(), description="UDP ports")

    @property
    def ports(self) -> tuple[Ports, ...]:
        """All of them with their protocol."""
        return ports_of(self.tcp, self.udp)


class DockerHost(Noun):
    """A VM with a /76 of a /64 and containers in a /80 of that. Its key is the node of its agent."""

    network: str = Field(description="the network it lives in")
    index: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="n: its /76 has group 5 = n<<4, its containers' /80 group 5 = (n<<4)+1; 0 is free, 1 the uplink's. "
        "Where `site.prefix` is shorter than /64 and the network has no `subnet`: the n-th /64",
    )
    prefix: Prefix6 | None = Field(default=None, description="its prefix, /64 to /79, instead of `index`")
    containers: Prefix6 | None = Field(
        default=None, description="the part of its prefix that its containers have; default: the second /80"
    )
    mac: Mac = Field(description="its MAC address: its IPv6 addresses are accepted from it alone")
    may_expose: MayExpose = Field(
        default=MayExpose.model_construct(tcp=(), udp=()), description="ports its agent may open; default: none"
    )


def ports_of(tcp: PortList, udp: PortList) -> tuple[Ports, ...]:
    """Port lists by protocol as one list, TCP first."""
    return (*(Ports("tcp", *part) for part in tcp), *(Ports("udp", *part) for part in udp))
