"""The leases of a network as a JSON object, and back."""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Any

from agent.model import Binding, NetworkLeases
from agent.wire import reader
from agent.wire.reader import Fields, clean

_MOST_MORE = 0xFFFFFFFF


def write_leases(fact: NetworkLeases) -> dict[str, Any]:
    """Give the JSON object."""
    return {"leases": [_entry(binding) for binding in fact.leases], "more": fact.more}


def _entry(binding: Binding) -> dict[str, Any]:
    known = {"mac": binding.mac, "duid": binding.duid, "name": clean(binding.hostname)}
    kind = "prefix" if isinstance(binding.leased, IPv6Network) else "address"
    return {kind: str(binding.leased), **{key: value for key, value in known.items() if value}}


def read_leases(network: str, fields: Fields) -> NetworkLeases:
    """Read them."""
    more = fields.integer("more", 0, _MOST_MORE) if fields.has("more") else 0
    return NetworkLeases(network, tuple(_binding(item) for item in fields.inner_items("leases")), more)


def _binding(item: Fields) -> Binding:
    prefix = item.maybe("prefix", reader.ipv6_network)
    leased = item.value("address", reader.address) if prefix is None else prefix
    return Binding(leased, item.mac("mac"), item.text("name", default=""), item.text("duid", default=""))
