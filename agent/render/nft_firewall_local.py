"""The firewall's input and output: what the router itself accepts and sends."""

from __future__ import annotations

from collections.abc import Iterator

from agent.desired.firewall import FIREWALL, INTERNET, FirewallPolicy, Zone
from agent.render.nft_firewall_rules import STATE, Pairs, chain
from agent.render.nft_text import braced, quoted

# Connections of one machine to the broker: an agent needs one, and another while it connects again.
_BUS_EACH = 8


def _opened(zone: Zone) -> list[str]:
    """What is open without a rule: neighbour discovery (RFC 4861), and what is served there."""
    solicit = ", nd-router-solicit" if zone.router else ""
    dhcp = ["udp sport 68 udp dport 67 accept"] if zone.dhcp4 else []
    if zone.dhcp6:
        # RFC 8415 section 7.2: clients ask from their link-local address.
        dhcp.append("ip6 saddr fe80::/10 udp sport 546 udp dport 547 accept")
    return [
        f"icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert{solicit} }} ip6 hoplimit 255 accept",
        "ip6 saddr fe80::/10 icmpv6 type mld-listener-query accept",
        *dhcp,
    ]


def bus_set(policy: FirewallPolicy) -> list[str]:
    """Who of the networks is connected to our broker, by MAC."""
    return ["set bus_hosts { type ether_addr; size 65535; flags dynamic; }"] if policy.bus_room is not None else []


def _bus_limits(policy: FirewallPolicy) -> list[str]:
    """Before the rules: a machine that never logs in must not hold all of the broker's connections."""
    if policy.bus_room is None or not policy.zones:
        return []
    asks = f"iifname {braced(quoted(zone.device) for zone in policy.zones)} tcp dport {policy.bus_port} ct state new"
    return [
        f"{asks} add @bus_hosts {{ ether saddr ct count over {_BUS_EACH} }} counter drop",
        f"{asks} ct count over {policy.bus_room} counter drop",
    ]


def input_chains(policy: FirewallPolicy) -> Iterator[list[str]]:
    """Input: each network's own chain; an interface that is none of ours is the backstage."""
    pairs = Pairs(policy)
    ping = ["icmp type echo-request accept", "icmpv6 type echo-request accept"]
    dispatch = [f"{quoted(device)} : drop" for device in policy.closed]
    for zone in (*policy.zones, policy.transit):
        outside: list[str] = []
        if zone is policy.transit:
            foreign = f"goto in_{INTERNET}" if pairs.has(INTERNET, FIREWALL) else "counter drop"
            outside = [f"ip saddr != @transit4 {foreign}", f"ip6 saddr != @transit6 {foreign}"]
        name = zone.name
        rules, chains = pairs.rules(f"in_{name}", name, FIREWALL, pairs.rest(name, FIREWALL))
        lines = [*_opened(zone), *outside, *ping, *rules]
        dispatch.append(f"{quoted(zone.device)} : goto in_{name}")
        yield from chains
        yield chain(f"in_{name}", lines)
    if pairs.has(INTERNET, FIREWALL):
        ruled, chains = pairs.rules(f"in_{INTERNET}", INTERNET, FIREWALL, pairs.rest(INTERNET, FIREWALL))
        yield from chains
        lines = ["meta mark & 0xff == 0 counter drop", "ct mark set meta mark & 0x3ff", *ruled]
        yield chain(f"in_{INTERNET}", lines)
    bus = [f"tcp dport {policy.bus_port} accept"] if policy.bus_port is not None else []
    yield [
        "chain filter_input {",
        "    type filter hook input priority filter; policy drop;",
        *(f"    {line}" for line in STATE),
        '    iifname "lo" accept',
        *(f"    {line}" for line in _bus_limits(policy)),
        f"    iifname vmap {braced(dispatch)}",
        "    meta l4proto { icmp, ipv6-icmp } accept",
        *(f"    {line}" for line in bus),
        "    counter drop",
        "}",
    ]


def output_chains(policy: FirewallPolicy) -> Iterator[list[str]]:
    """The router itself may send what no rule forbids it; never a redirect (IPv6 has no sysctl for that)."""
    pairs = Pairs(policy)
    closing = any(
        rule is not None and rule.action != "accept"
        for pair in policy.pairs
        if pair.source == FIREWALL
        for rule in (*pair.rules, pair.policy)
    )
    dispatch: list[str] = []
    for zone in (*policy.zones, policy.transit) if closing else ():
        rest = pairs.rest(FIREWALL, zone.name, ())
        lines, chains = pairs.rules(f"self_{zone.name}", FIREWALL, zone.name, rest)
        yield from chains
        if zone is policy.transit:
            rest = pairs.rest(FIREWALL, INTERNET, ())
            far, chains = pairs.rules(f"self_{INTERNET}", FIREWALL, INTERNET, rest)
            yield from chains
            yield chain(f"self_{INTERNET}", far)
            outside = f"goto self_{INTERNET}"
            lines = [f"ip daddr != @transit4 {outside}", f"ip6 daddr != @transit6 {outside}", *lines]
        dispatch.append(f"{quoted(zone.device)} : goto self_{zone.name}")
        yield chain(f"self_{zone.name}", lines)
    served = [
        "ct state established,related accept",
        "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept",
        "udp sport { 67, 547 } accept",
        f"oifname vmap {braced(dispatch)}",
    ]
    if pairs.has(INTERNET, FIREWALL):
        # What the router answers goes back by the ingress it was asked through.
        yield [
            "chain mangle_answer {",
            "    type route hook output priority mangle; policy accept;",
            "    ct direction reply ct mark & 0xff != 0 meta mark set ct mark & 0x3ff",
            "}",
        ]
    yield [
        "chain filter_output {",
        "    type filter hook output priority filter; policy accept;",
        "    icmpv6 type nd-redirect counter drop",
        *(f"    {line}" for line in (served if closing else [])),
        "}",
    ]
