"""Docker hosts in nft: each prefix from its own MAC alone, and the ports that containers have open.

A prefix is looked up by masking the address: sets of plain values take an element more in no time, sets of intervals
as many as they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv6Network
from types import MappingProxyType

from agent.desired.docker_hosts import Exposed, Machines
from agent.desired.firewall import FirewallPolicy, FirewallTable, Zone

EXPOSED = "exposed6"
# Neighbour discovery of one VM: more than it needs, too little to fill the kernel's table (gc_thresh3 is 1024).
_ASKING = "rate over 20/second burst 50 packets"


def machine_sets(policy: FirewallPolicy) -> list[str]:
    """The sets, filled by elements: (prefix, MAC) and prefixes by length, MACs, who asks how often, open ports."""
    lines = []
    for zone in policy.zones:
        if zone.machines:
            lines += [f"set macs_{zone.name} {{ type ether_addr; }}"]
            lines += [f"set asking_{zone.name} {{ type ether_addr; size 65535; flags dynamic,timeout; timeout 1m; }}"]
        for length in zone.machines:
            lines.append(f"set own{length}_{zone.name} {{ type ipv6_addr . ether_addr; }}")
            lines.append(f"set prefixes{length}_{zone.name} {{ type ipv6_addr; }}")
    if any(zone.machines for zone in policy.zones):
        lines.append(f"set {EXPOSED} {{ type ipv6_addr . inet_proto . inet_service; counter; }}")
    return lines


def machine_sources(zone: Zone) -> Iterator[str]:
    """The head of a zone's chain of sources: what is a docker host's comes from its MAC, and from it nothing else."""
    if not zone.machines:
        return
    if not zone.subnets6 and not zone.subnets4:
        yield f"ether saddr != @macs_{zone.name} counter drop"
    asks = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit }"
    yield f"{asks} update @asking_{zone.name} {{ ether saddr limit {_ASKING} }} counter drop"
    for length in zone.machines:
        prefix = f"ip6 saddr & {IPv6Network(f'::/{length}').netmask}"
        yield f"{prefix} . ether saddr @own{length}_{zone.name} return"
        yield f"{prefix} @prefixes{length}_{zone.name} counter drop"
    yield f"ether saddr @macs_{zone.name} ip6 saddr != fe80::/10 ip6 saddr != :: counter drop"


def open_ports(zone: Zone) -> list[str]:
    """From the internet: the ports that containers have open."""
    return [f"ip6 daddr . meta l4proto . th dport @{EXPOSED} accept"] if zone.machines else []


@lru_cache(maxsize=16)
def _machines(found: Machines) -> Mapping[str, Mapping[str, str]]:
    """The same object for the same docker hosts: a driver need not compare them."""
    sets: dict[str, dict[str, str]] = {f"macs_{found.zone}": {}}
    for prefix, mac in found.sources:
        sets[f"macs_{found.zone}"][mac] = ""
        address = str(prefix.network_address)
        sets.setdefault(f"own{prefix.prefixlen}_{found.zone}", {})[f"{address} . {mac}"] = ""
        sets.setdefault(f"prefixes{prefix.prefixlen}_{found.zone}", {})[address] = ""
    return {name: MappingProxyType(elements) for name, elements in sets.items()}


@lru_cache(maxsize=8192)
def _ports(found: Exposed) -> Mapping[str, str]:
    return {f"{address} . {protocol} . {port}": "" for address, protocol, port in found.ports}


def machine_elements(table: FirewallTable) -> dict[str, Mapping[str, str]]:
    """The elements of all these sets."""
    if not any(zone.machines for zone in table.policy.zones):
        return {}
    elements: dict[str, Mapping[str, str]] = {}
    for found in table.machines:
        elements |= _machines(found)
    ports: dict[str, str] = {}
    for one in table.exposed:
        ports.update(_ports(one))
    return elements | {EXPOSED: MappingProxyType(ports)}
