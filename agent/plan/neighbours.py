"""Which addresses an ingress answers for (NDP proxy): those that exist, and those that may."""

from __future__ import annotations

from ipaddress import IPv6Network, collapse_addresses

from agent.config import Settings, StaticUplink
from agent.desired.neighbours import ProxyNeighbours
from agent.model import Link
from agent.plan.docker_hosts import fleet


def proxied(settings: Settings, node: str, wan: Link | None) -> ProxyNeighbours | None:
    """What to answer for on an uplink; None where the provider routes the prefix.

    A docker host and its gateway exist; in its containers' prefix any address may, as in a network's /64. All else of
    the provider's prefix gets no answer, and so no packet.
    """
    uplink = settings.uplinks[node]
    if wan is None or not isinstance(uplink, StaticUplink) or uplink.ipv6 is None:
        return None
    given = uplink.ipv6.prefix
    if uplink.ipv6.neighbours != "proxy" or given is None:
        return None
    machines = [machine for _, _, _, machine in fleet(settings).machines if machine.prefix.subnet_of(given)]
    networks = (prefix for name in settings.networks if (prefix := settings.network_prefix(name)) is not None)
    single = [*(machine.address for machine in machines), *(machine.gateway.ip for machine in machines)]
    whole = [prefix for prefix in networks if prefix.subnet_of(given)]
    prefixes = collapse_addresses([*whole, *(machine.containers for machine in machines), *map(IPv6Network, single)])
    named = {address for name in settings.hosts if (address := settings.host_address6(name)) and address in given}
    return ProxyNeighbours(
        wan.index, wan.mac, tuple(prefixes), tuple(sorted({*single, *named} - {uplink.ipv6.address.ip}))
    )
