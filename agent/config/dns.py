"""`dns`: who resolves names for the networks, and which names the outside gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from agent.config.addresses import Address
from agent.config.base import Many, Noun, as_names
from agent.config.ports import Port
from agent.config.texts import Domain, Duration, FilePath, Label

DNS_PORT = 53
TLS_PORT = 853  # RFC 7858 section 3.1


class Forwarder(Noun):
    """A resolver outside."""

    address: Address = Field(description="its address")
    port: Port | None = Field(default=None, description="its port; default: 53, with `tls_name` 853")
    tls_name: Domain | None = Field(default=None, description="name in its certificate: DNS over TLS (RFC 7858)")

    @property
    def at(self) -> int:
        """The port to ask."""
        return self.port or (TLS_PORT if self.tls_name else DNS_PORT)


class PublicDns(Noun):
    """The zone outside that gets the names of `hosts.*.public`, by dynamic update (RFC 2136) with TSIG (RFC 8945)."""

    zone: Domain = Field(description="the zone at the provider, like example.org")
    server: Address = Field(description="address of the zone's primary server")
    port: Port = Field(default=DNS_PORT, description="its port")
    key_file: FilePath = Field(description="the TSIG key, as `tsig-keygen` prints it; read by the firewall alone")
    ttl: Duration = Field(default=60.0, description="how long others may keep an address")


class Block(Noun):
    """Names that some networks do not get: they and all below them do not exist. By `names` or by `file`."""

    networks: Annotated[tuple[str, ...], BeforeValidator(as_names)] = Field(description="for whom")
    names: Many[Domain] = Field(default=(), description="the names, each with all below it")
    file: FilePath | None = Field(
        default=None, description="instead: a response policy zone, as publishers of such lists offer it"
    )


class Dns(Noun):
    """Names for the networks."""

    forwarders: Many[Forwarder] = Field(
        default=(), description="resolvers, in the order to ask; default: named asks the root and follows from there"
    )
    ddns: bool = Field(default=False, description="DHCP leases become names under `site.domain`")
    private_domains: Many[Domain] = Field(
        default=(), description="domains outside whose names may have internal addresses (rebinding protection)"
    )
    log: bool = Field(default=False, description="every question is logged")
    cache: Annotated[int, Field(ge=4, le=65536)] = Field(default=64, description="size of the cache in MiB")
    blocks: Mapping[Label, Block] = Field(default={}, description="names that some networks do not get, by name")
    public: PublicDns | None = Field(default=None, description="the zone outside for `hosts.*.public`")
