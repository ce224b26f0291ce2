"""`lists`: addresses under a name, for rules: written here, in a file, or behind DNS names."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, TypeAlias

from pydantic import Field, PlainValidator

from agent.config.base import Many, MendError, Noun
from agent.config.parse import parsed, text_schema
from agent.config.texts import Domain, Duration, FilePath


def parse_prefix(value: object) -> IPv4Network | IPv6Network:
    """An address or a prefix of either family; an address is a prefix of all its bits."""

    def parse(text: str) -> IPv4Network | IPv6Network:
        if "%" in text:  # IPv6Network keeps the zone (RFC 4007 section 11), a set of nft knows none
            raise MendError(f"`{text}` names a device", f"write {text.partition('%')[0]}")
        try:
            return ip_network(text)
        except ValueError:
            meant = ip_network(text, strict=False)
            raise MendError(f"`{text}` has host bits set: bits after the prefix length", f"write {meant}") from None

    kinds = (IPv4Network, IPv6Network)
    return parsed(value, kinds, parse, "an address or a prefix", 'it like 192.0.2.0/24 or "2001:db8::/32"')


def literal(word: str) -> IPv4Network | IPv6Network | None:
    """The prefix that a rule's word is, None where it is a name. Raises MendError for one that is wrong."""
    return parse_prefix(word) if set(word) & set(".:/") else None


Prefix: TypeAlias = Annotated[
    IPv4Network | IPv6Network, PlainValidator(parse_prefix), text_schema("an address or a prefix")
]


class AddressList(Noun):
    """Addresses under a name, by one of `addresses`, `file` and `names`."""

    addresses: Many[Prefix] = Field(default=(), description="addresses and prefixes of both families")
    file: FilePath | None = Field(default=None, description="a file of them, one a line; `#` begins a comment")
    names: Many[Domain] = Field(default=(), description="DNS names: all their addresses")
    refresh: Duration = Field(default=300.0, description="how often a file is looked at, and names are asked for")

    @property
    def kind(self) -> str:
        """The key that says where its addresses come from; empty where none or several do."""
        said = [key for key in ("addresses", "file", "names") if getattr(self, key)]
        return said[0] if len(said) == 1 else ""
