"""`dns`: who resolves names for the networks."""

from __future__ import annotations

from pydantic import Field

from agent.config.addresses import Address
from agent.config.base import Many, Noun
from agent.config.texts import Domain


class Forwarder(Noun):
    """A resolver outside."""

    address: Address = Field(description="its address")
    tls_name: Domain | None = Field(default=None, description="name in its certificate: DNS over TLS (RFC 7858)")


class Dns(Noun):
    """Names for the networks."""

    forwarders: Many[Forwarder] = Field(default=(), description="resolvers, in the order to ask")
    ddns: bool = Field(default=False, description="DHCP leases become names under `site.domain`")
