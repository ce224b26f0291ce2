"""The firewall's nftables rules: one table, static chains; what events change are map elements.

Order of a packet: raw (sources and bogons, before connection tracking) → mangle (the mark, by which the routing table
is chosen) → input or forward (state first, then one look-up by the pair of devices) → output.
Chains are named `<place>_<zone>[_<zone>]`: no such name is a keyword of nft.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from agent.desired import Ruleset
from agent.desired.firewall import PINNED, AddressSet, FirewallPolicy, FirewallTable
from agent.render.nft_ended import state_table
from agent.render.nft_firewall_filter import forward_chains
from agent.render.nft_firewall_global import (
    global_chains,
    global_dispatch,
    global_elements,
    global_marks,
    global_outside,
    global_sets,
    global_sources,
)
from agent.render.nft_firewall_local import bus_set, input_chains, output_chains
from agent.render.nft_firewall_machines import machine_elements, machine_sets, machine_sources
from agent.render.nft_firewall_rules import counters, meters
from agent.render.nft_firewall_uplinks import balance_chains, choosers, dispatch, elements
from agent.render.nft_hold import HOLD
from agent.render.nft_text import braced, quoted, sized_set

# RFC 6890, RFC 6092 REC-3: never the source or destination of a packet that comes from outside or goes there.
# Documentation prefixes are let pass: test networks are made of them (a deviation from REC-3).
BOGONS4 = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
BOGONS6 = ("::/96", "::ffff:0:0/96", "100::/64", "2001:10::/28", "fec0::/10", "fe80::/10", "ff00::/8")
# Destinations that are no business of an uplink, besides the networks themselves.
MULTICAST4 = ("224.0.0.0/4", "255.255.255.255")
LOCAL6 = ("fe80::/10", "ff00::/8")
UNSPECIFIED = ("nd-neighbor-solicit", "nd-router-solicit", "mld-listener-report", "mld2-listener-report")


def _sets(policy: FirewallPolicy) -> list[str]:
    networks = (*policy.zones, policy.transit)
    internal4 = sorted({subnet for zone in networks for subnet in zone.subnets4})
    transit6 = ("fe80::/10", *map(str, policy.transit.subnets6))
    forwards = (
        f"{f.address} . {f.protocol} . {f.first if f.first == f.last else f'{f.first}-{f.last}'}"
        for f in policy.forwards
    )
    return [
        "map ingress { type ether_addr : mark; }",
        "map choice4 { type ifname : mark; }",
        "map choice6 { type ifname : mark; }",
        "map steer4 { type ifname . mark : mark; }",
        "map steer6 { type ifname . mark : mark; }",
        "map ext4 { type ipv4_addr : mark; flags interval; }",
        "map ext6 { type ipv6_addr : mark; flags interval; }",
        sized_set("networks4", "ipv4_addr", map(str, internal4)),
        sized_set("internal4", "ipv4_addr", (*map(str, internal4), *MULTICAST4)),
        sized_set("internal6", "ipv6_addr", (str(policy.internal6), *LOCAL6)),
        sized_set("transit4", "ipv4_addr", map(str, policy.transit.subnets4)),
        sized_set("transit6", "ipv6_addr", transit6),
        sized_set("bogons4", "ipv4_addr", BOGONS4),
        sized_set("bogons6", "ipv6_addr", BOGONS6),
        *(f"set list4_{name} {{ type ipv4_addr; flags interval; }}" for name in policy.lists),
        *(f"set list6_{name} {{ type ipv6_addr; flags interval; }}" for name in policy.lists),
        sized_set("forwards4", "ipv4_addr . inet_proto . inet_service", forwards, counter=True),
        *machine_sets(policy),
        *global_sets(policy),
        *bus_set(policy),
    ]


def _spoof(policy: FirewallPolicy) -> Iterable[list[str]]:
    """Sources: each network's own only (RFC 6092 REC-5), from outside nothing of ours (REC-6); routing header 0."""
    dispatch = [f"{quoted(zone.device)} : goto spoof_{zone.name}" for zone in policy.zones]
    dispatch.append(f"{quoted(policy.transit.device)} : goto spoof_internet")
    dispatch += [f"{quoted(device)} : drop" for device in policy.closed]
    yield [
        "chain raw_spoof {",
        "    type filter hook prerouting priority raw; policy accept;",
        "    rt type 0 counter drop",
        f"    iifname vmap {braced(dispatch)}",
        "}",
    ]
    # A host that has no address yet: DHCP, IGMP, duplicate address detection, router solicitation, MLD.
    nobody = [
        "    ip saddr 0.0.0.0 udp dport 67 return",
        "    ip saddr 0.0.0.0 ip protocol igmp return",
        f"    ip6 saddr :: icmpv6 type {braced(UNSPECIFIED)} return",
    ]
    for zone in policy.zones:
        # One rule each: for microseconds after a replace the kernel (6.18) finds nothing in a new set of intervals, and
        # here that would drop packets of connections that stay.
        own4 = [f"    ip saddr {subnet} return" for subnet in zone.subnets4]
        own6 = [f"    ip6 saddr {subnet} return" for subnet in (*zone.subnets6, "fe80::/10")]
        machines = [f"    {line}" for line in machine_sources(zone)]
        own6 += [f"    {line}" for line in global_sources(zone)]
        yield [f"chain spoof_{zone.name} {{", *machines, *own4, *own6, *nobody, "    counter drop", "}"]
    outside = [f"    ip6 saddr {braced(map(str, policy.outside6))} return"] if policy.outside6 else []
    local = [] if policy.local_outside else ["    ip6 saddr fc00::/7 counter drop"]
    yield [
        "chain spoof_internet {",
        "    ip saddr @transit4 return",
        "    ip6 saddr @transit6 return",
        *nobody,
        *outside,
        "    ip saddr @networks4 counter drop",
        f"    ip6 saddr {policy.internal6} counter drop",
        "    ip saddr @bogons4 counter drop",
        "    ip6 saddr @bogons6 counter drop",
        *local,
        *(f"    {line}" for line in global_outside(policy)),
        "}",
    ]


def _marks(policy: FirewallPolicy) -> Iterable[list[str]]:
    """The uplink of each packet: that of its connection, else of the ingress it came from, else the network's choice.

    A packet to an uplink's own address goes to that uplink's ingress, which turns it around (hairpin).
    """
    dmz = quoted(policy.transit.device)
    yield from choosers(policy)
    yield from global_marks(policy, dispatch(policy))
    yield [
        "chain mangle_mark {",
        "    type filter hook prerouting priority mangle; policy accept;",
        "    ct mark & 0xff != 0 meta mark set ct mark & 0x3ff accept",
        "    ip daddr @internal4 goto mark_inbound",
        "    ip6 daddr @internal6 goto mark_inbound",
        *(f"    {line}" for line in global_dispatch(policy)),
        "    meta mark set ip daddr map @ext4 accept",
        "    meta mark set ip6 daddr map @ext6 accept",
        *(f"    {line}" for line in dispatch(policy)),
        "}",
    ]
    yield [
        "chain mark_inbound {",
        f"    iifname {dmz} ip saddr != @transit4 meta mark set ether saddr map @ingress",
        f"    iifname {dmz} ip6 saddr != @transit6 meta mark set ether saddr map @ingress",
        "}",
    ]


@lru_cache(maxsize=8)
def skeleton(policy: FirewallPolicy) -> str:
    """The complete script, without the elements that events change."""
    blocks: list[str] = [*_sets(policy), *counters(policy), *meters(policy)]
    for part in (_spoof, _marks, forward_chains, input_chains, output_chains):
        for chain in part(policy):
            blocks += chain
    body = "\n".join(f"    {line}" for line in blocks)
    return f"{state_table()}table inet router\ndelete table inet router\ntable inet router {{\n{body}\n}}\n"


def _key(network: object) -> str:
    """A network of one address is written as that address, as nft lists it."""
    text = str(network)
    return text.removesuffix("/32") if "." in text else text.removesuffix("/128")


@lru_cache(maxsize=64)
def list_elements(found: AddressSet) -> Mapping[str, MappingProxyType[str, str]]:
    """The elements of a list's two sets. The same object for the same list: a driver need not compare them."""
    return {
        f"list{family}_{found.name}": MappingProxyType({_key(n): "" for n in found.networks if n.version == family})
        for family in (4, 6)
    }


# Rules may drop by lists; by the others they do: nobody outside, nor another MAC, bears an address of these.
_FORBIDDING = ("list4_", "list6_", "prefixes", "lent6", "stale6")


def render_firewall(table: FirewallTable) -> Ruleset:
    """The firewall's ruleset. The skeleton is cached: an event costs the elements."""
    # What enters by an ingress, or goes to an uplink's own address, can take no other.
    pinned = {
        "ingress": {mac: f"{mark | PINNED:#x}" for mac, mark in table.ingress},
        "ext4": {_key(network): f"{mark | PINNED:#x}" for network, mark in table.external4},
        "ext6": {_key(network): f"{mark | PINNED:#x}" for network, mark in table.external6},
    }
    frozen: dict[str, Mapping[str, str]] = {
        name: MappingProxyType(dict(sorted(found.items()))) for name, found in (pinned | elements(table)).items()
    }
    for found in table.lists:
        frozen |= list_elements(found)
    frozen |= machine_elements(table)
    frozen |= {name: MappingProxyType(found) for name, found in global_elements(table).items()}
    chains = MappingProxyType({**balance_chains(table), **global_chains(table)})
    forbidding = frozenset(name for name in frozen if name.startswith(_FORBIDDING))
    return Ruleset(skeleton(table.policy), MappingProxyType(frozen), chains, HOLD, forbidding)
