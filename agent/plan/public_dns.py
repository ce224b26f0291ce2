"""Names for the outside: the addresses behind each healthy uplink of the hosts that have a public name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from agent.config.settings import Settings
from agent.desired import Problem
from agent.desired.names import Record, ZoneTarget
from agent.model import Peer
from agent.plan.dns_zones import LOCAL4
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.global6 import Global6
from agent.plan.networks import subnets6


def _joined(prefix: IPv6Network, address: IPv6Address) -> IPv6Address:
    """The prefix, and the bits below it of an address: what a 1:1 translation makes of it."""
    return IPv6Address(int(prefix.network_address) | int(address) & int(prefix.hostmask))


def _outside6(settings: Settings, host: str, uplink: UplinkView, peer: Peer, lent: Global6) -> Iterator[IPv6Address]:
    """A host's addresses of IPv6 behind an uplink: global ones it has, else the translation of its internal one."""
    network, internal = settings.host_network(host), settings.host_address6(host)
    if internal is None or uplink.refuses(6, next(iter(subnets6(settings, network)), None)):
        return
    own = [_joined(part.prefix, internal) for part in lent.of(network) if part.uplink == uplink.name]
    if own:
        yield from own
    elif settings.networks[network].addressing == "global" or peer.ipv6 is None:
        return
    elif uplink.mode6 == "routed":
        yield internal
    else:
        for mapping in peer.ipv6.mappings:
            claimed = any(mapping.external.subnet_of(prefix) for prefix in uplink.external6)
            if internal in mapping.internal and claimed:
                yield _joined(mapping.external, internal)


def _outside4(settings: Settings, host: str, uplink: UplinkView) -> IPv4Address | None:
    """The uplink's address, where a forward of it leads to the host."""
    forwarded = any(forward.to == host for forward in settings.forwards_of(uplink.name).values())
    if not forwarded or not uplink.external4 or uplink.refuses(4, None):
        return None
    return uplink.external4[0].network_address


def _addresses(
    settings: Settings, host: str, uplinks: Mapping[str, UplinkView], peers: Mapping[str, Peer], lent: Global6
) -> Iterator[IPv4Address | IPv6Address]:
    for name in settings.uplinks_of(settings.host_network(host)):
        uplink = uplinks.get(name)
        if uplink is None or not uplink.known:
            continue
        yield from _outside6(settings, host, uplink, peers.get(name, Peer()), lent)
        if (address := _outside4(settings, host, uplink)) is not None:
            yield address


def plan_public(
    settings: Settings,
    uplinks: Mapping[str, UplinkView],
    peers: Mapping[str, Peer],
    lent: Global6,
    drained: Collection[str] = (),
) -> tuple[ZoneTarget | None, tuple[Problem, ...]]:
    """What the zone outside shall hold, and who cannot be published.

    None where there is no such zone, and before anything is known of any uplink: what stands there may still be right.
    """
    public = settings.dns.public
    if public is None or not any(uplink.known for uplink in uplinks.values()):
        return None, ()
    usable = {name: uplink for name, uplink in uplinks.items() if name not in drained}
    records, problems = set(), []
    for host in sorted(settings.hosts):
        name = settings.hosts[host].public
        if name is None:
            continue
        for address in _addresses(settings, host, usable, peers, lent):
            # An uplink that has such an address is behind another NAT.
            if isinstance(address, IPv4Address) and any(address in network for network in LOCAL4):
                message = f"{name} does not get {address}: nobody outside reaches it, another NAT is in between"
                problems.append(Problem("dns/public", message, "ask the ISP for an address of its own"))
            else:
                records.add(Record(name, "A" if isinstance(address, IPv4Address) else "AAAA", str(address)))
    target = ZoneTarget(
        public.zone,
        public.server,
        public.port,
        str(settings.path(public.key_file)),
        tuple(sorted(records)),
        max(1, int(public.ttl)),
    )
    return target, tuple(problems)
