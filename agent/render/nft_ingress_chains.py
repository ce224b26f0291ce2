"""The static chains of an ingress. Their order is what makes translation right: see docs/decisions/0003.

raw: spoofed sources go, own addresses stay tracked, mapped ones are translated and not tracked. dstnat: forwards.
forward: the few directions that may pass. srcnat: NAT44, NAT66. After it: stateless sources, and what errors quote.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from agent.desired.ingress import IngressStatic
from agent.desired.probe import WATCH_DEAD, WATCH_IDENTIFIER
from agent.model import Family
from agent.render.nft_text import braced, quoted

# ICMPv6 destination-unreachable, packet-too-big, time-exceeded, parameter-problem (RFC 4443 section 2.1): a range costs
# less to load than a set, and a prefix change loads it anew.
ERRORS = "1-4"
# The /64 of an address, to be looked up among those that hosts have of the uplink's prefix.
_LENT_SOURCE, _LENT_DESTINATION = "ip6 saddr & ffff:ffff:ffff:ffff::", "ip6 daddr & ffff:ffff:ffff:ffff::"
_ULA = IPv6Network("fc00::/7")
_LOOPBACK = IPv6Network("::1/128")
_SITE_LOCAL = IPv6Network("fec0::/10")
_LINK_LOCAL = IPv6Network("fe80::/10")
_UNSPECIFIED = IPv6Network("::/128")


def chains(static: IngressStatic) -> list[str]:
    """All chains, as lines within the table."""
    # A device that does not exist gets a name that none can have, so that the chains have one shape.
    wan, dmz = quoted(static.wan or "no wan"), quoted(static.dmz or "no dmz")
    return [
        "# constant rules per mapping, replaced whole when a prefix changes",
        *("chain npt_in { }", "chain npt_out { }", "chain npt_error { }"),
        *_prerouting(static, wan, dmz),
        *_spoof_wan(static, wan),
        *_spoof_dmz(static),
        *_input(wan, dmz),
        *_forward(static, wan, dmz, offload=offloads(static)),
        *_output(dmz),
        *_postrouting(wan, dmz, lends=static.lends),
    ]


def prefixes(found: Iterable[IPv4Network] | Iterable[IPv6Network]) -> list[str]:
    """Without overlaps, which an interval set refuses, and in order."""
    networks = list(found)
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return [str(network) for network in (*four, *six)]


def inner_only(static: IngressStatic) -> list[IPv6Network]:
    """IPv6 prefixes that no packet on the uplink may bear."""
    inner = [prefix for prefix in static.internal6 if prefix not in static.routed6]
    return [*inner, _LOOPBACK if static.private else _ULA]


def _prerouting(static: IngressStatic, wan: str, dmz: str) -> list[str]:
    routed = []
    if static.routed6:
        same = braced(prefixes(static.routed6))
        routed = [
            f"  ip6 daddr {same} fib daddr type unicast notrack",
            f"  ip6 saddr {same} fib daddr type unicast notrack",
        ]
    return [
        "chain raw_pre {",
        "  type filter hook prerouting priority raw; policy accept;",
        f"  iifname {wan} jump spoof_wan",
        f"  iifname {dmz} jump spoof_dmz",
        "  rt type 0 drop",  # RFC 5095
        "  ip6 daddr @own6 accept",  # stays tracked: our own traffic, and the answers to NAT66
        "  meta nfproto ipv6 jump npt_in",
        *routed,
        f"  iifname {dmz} ip6 saddr @mapped6 fib daddr type unicast notrack",
        "}",
        "chain npt_track {",
        f"  iifname {wan} notrack",
        f"  iifname {dmz} ip6 saddr @mapped6 notrack",  # a hairpin; one of an unmapped source needs NAT66
        "}",
        "chain nat_pre {",
        "  type nat hook prerouting priority dstnat; policy accept;",
        *_for_some(static),
        "  ip daddr @own4 dnat ip to meta l4proto . th dport map @forward_same",  # from inside too: the hairpin
        "  ip daddr @own4 dnat ip to meta l4proto . th dport map @forward_other",
        "}",
    ]


def _for_some(static: IngressStatic) -> list[str]:
    """Forwards that are not for everybody, a rule each; whoever else tries finds a closed port."""
    lines = []
    for forward in static.forwards:
        if not forward.sources:
            continue
        who = f"  ip daddr @own4 ip saddr {braced(prefixes(forward.sources))}"
        if forward.first == forward.to_first:
            ports = f"{forward.first}" if forward.first == forward.last else f"{forward.first}-{forward.last}"
            lines.append(f"{who} {forward.protocol} dport {ports} dnat ip to {forward.to}")
            continue
        shift = forward.to_first - forward.first
        each = (f"{port} : {forward.to} . {port + shift}" for port in range(forward.first, forward.last + 1))
        lines.append(f"{who} dnat ip to {forward.protocol} dport map {braced(each)}")
    return lines


def _spoof_wan(static: IngressStatic, wan: str) -> list[str]:
    """From the uplink no internal or own source comes, and nothing to an internal destination (RFC 6092 REC-1..6)."""
    outer = []
    if static.routed6:
        # The provider's own addresses on the link may lie in the same prefix: the way back tells them.
        same = braced(prefixes(static.routed6))
        outer = [f"  ip6 saddr {same} fib saddr . iif oif missing drop"]
    never = prefixes([*inner_only(static), _SITE_LOCAL])
    return [
        "chain spoof_wan {",
        *(f"  ip6 {side} {prefix} drop" for side in ("saddr", "daddr") for prefix in never),
        *outer,
        f"  iifname {wan} ip6 saddr @own6 drop",
        "  ip saddr @internal4 drop",
        "  ip daddr @internal4 drop",
        "  ip saddr @own4 drop",
        "}",
    ]


def _spoof_dmz(static: IngressStatic) -> list[str]:
    """From the DMZ come internal sources only; to its own DMZ address any (the outer packets of a tunnel).

    Nothing internal is sent to an ingress: the firewall routes that itself.
    """
    teller = [f"  icmpv6 type nd-router-advert ether saddr != {static.firewall_mac} drop"]
    # No set: for microseconds after a replace the kernel finds nothing in a new set of intervals (nft_firewall.py).
    inside = " ".join(f"ip6 saddr != {prefix}" for prefix in prefixes([*static.internal6, _LINK_LOCAL, _UNSPECIFIED]))
    inside += f" {_LENT_SOURCE} != @lent6" if static.lends else ""
    return [
        "chain spoof_dmz {",
        *(teller if static.firewall_mac else ()),
        "  icmpv6 type nd-router-advert ip6 saddr != fe80::1 drop",
        "  ip6 saddr @reserved6 drop",
        "  fib daddr . iif type local return",
        f"  {inside} drop",
        "  ip6 daddr @internal6 drop",
        "  ip saddr != @internal4 ip saddr != 0.0.0.0 drop",
        "  ip daddr @internal4 fib daddr type unicast drop",
        "}",
    ]


def _input(wan: str, dmz: str) -> list[str]:
    """Nothing answers on the uplink but what the protocols need; on the DMZ the firewall may see that we live.

    Any other device is the backstage: answers to what we send, no more.
    """
    both = braced((wan, dmz))
    return [
        "chain f_input {",
        "  type filter hook input priority filter; policy drop;",
        "  ct state established,related accept",
        '  iifname "lo" accept',
        "  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept",
        f"  iifname {both} icmpv6 type nd-router-advert ip6 hoplimit 255 ip6 saddr fe80::/10 accept",
        f"  iifname {both} icmpv6 type mld-listener-query ip6 saddr fe80::/10 accept",
        f"  iifname {both} udp sport 67 udp dport 68 accept",
        f"  iifname {wan} ip6 saddr fe80::/10 ip6 daddr fe80::/10 udp sport 547 udp dport 546 accept",
        f"  iifname != {dmz} drop",
        "  icmp type echo-request accept",
        "  icmpv6 type echo-request accept",
        # A port of the uplink that no forward serves, tried from inside: an answer instead of a wait.
        "  ip saddr @internal4 ip daddr @own4 reject with icmp type admin-prohibited",
        "  ip6 saddr @internal6 ip6 daddr @own6 reject with icmpv6 type admin-prohibited",
        "}",
    ]


def offloads(static: IngressStatic) -> bool:
    """Whether there is a flowtable: the kernel has them, and both devices are there."""
    return static.flowtable and static.wan is not None and static.dmz is not None


def _forward(static: IngressStatic, wan: str, dmz: str, *, offload: bool) -> list[str]:
    # Never dmz to dmz: a hairpin is translated twice.
    both = braced((f"{wan} . {dmz}", f"{dmz} . {wan}"))
    fast = f"  iifname . oifname {both} meta l4proto {{ tcp, udp }} ct state established flow add @fast"
    inside = prefixes(static.internal6)
    ways = ((wan, dmz, "f_in"), (dmz, wan, "f_out"), (dmz, dmz, "f_hairpin"))
    return [
        "chain f_forward {",
        "  type filter hook forward priority filter; policy drop;",
        # Before anything is accepted: the answer to a SYN is clamped too.
        "  tcp flags syn tcp option maxseg size set rt mtu",
        *([fast] if offload else []),
        # No maps: a packet on its way while the table is replaced finds nothing in those of the old one (seen on 6.18).
        "  ct state established,related accept",
        "  ct state invalid drop",
        *(f"  iifname {here} oifname {there} goto {chain}" for here, there, chain in ways),
        "}",
        "chain f_in {",
        *(f"  ct state untracked ip6 daddr {prefix} accept" for prefix in inside),
        *([f"  ct state untracked {_LENT_DESTINATION} @lent6 accept"] if static.lends else []),
        "  ct status dnat accept",
        "}",
        "chain f_out {",
        *(f"  ct state untracked ip6 saddr {prefix} accept" for prefix in inside),
        *([f"  ct state untracked {_LENT_SOURCE} @lent6 accept"] if static.lends else []),
        "  oifname @open4 ip saddr @internal4 accept",
        "  oifname @open6 ip6 saddr @internal6 accept",
        "  ip saddr @internal4 reject with icmp type net-unreachable",
        # RFC 7084 L-14: a source that has no translation here is told so.
        "  ip6 saddr @internal6 reject with icmpv6 type policy-fail",
        "}",
        "chain f_hairpin {",
        "  ct state untracked ip6 saddr @internal6 ip6 daddr @mapped6 accept",
        "  ct status dnat accept",
        "  oifname @open6 ip6 saddr @internal6 ip6 daddr @mapped6 accept",
        *([f"  {_LENT_SOURCE} @lent6 ip6 daddr @mapped6 accept"] if static.lends else []),
        "}",
    ]


def _output(dmz: str) -> list[str]:
    watch = f"oifname {dmz} icmpv6 type echo-reply icmpv6 id {WATCH_IDENTIFIER}"
    dead: dict[frozenset[Family], str] = {
        frozenset({4, 6}): "@alive4 oifname != @alive6",
        frozenset({4}): "@alive4",
        frozenset({6}): "@alive6",
    }
    return [
        "chain f_output {",
        "  type filter hook output priority filter; policy accept;",
        "  icmpv6 type nd-redirect drop",  # IPv6 has no sysctl for it
        # What the firewall learns when it asks, without the bus: the families that carry nothing.
        *(f"  {watch} oifname != {which} ip6 hoplimit set {WATCH_DEAD[key]} accept" for key, which in dead.items()),
        # What we say of a hairpinned packet: its sender knows the destination's external address only. Of packets to
        # ourselves only other errors are said; 0 is no-route, 3 addr-unreachable.
        f"  oifname {dmz} icmpv6 type {{ packet-too-big, time-exceeded }} goto npt_error",
        f"  oifname {dmz} icmpv6 type destination-unreachable icmpv6 code {{ 0, 3 }} goto npt_error",
        "}",
    ]


def _postrouting(wan: str, dmz: str, *, lends: bool) -> list[str]:
    # The mapped host answers a global source directly, behind the firewall: only a source of ours brings it back here.
    lent = f"{_LENT_SOURCE} @lent6 ip6 daddr @mapped6 snat ip6 to oifname map @hairpin6"
    pin = f"iifname {dmz} oifname {dmz}"
    return [
        "chain nat_post {",
        "  type nat hook postrouting priority srcnat; policy accept;",
        f"  oifname {wan} ip saddr @internal4 snat ip to oifname map @nat44",
        f"  oifname {wan} ip6 saddr @internal6 snat ip6 to oifname map @nat66",
        f"  {pin} ct status dnat ip saddr @internal4 snat ip to oifname map @nat44",
        f"  {pin} ip6 saddr @internal6 ip6 daddr @mapped6 snat ip6 to oifname map @nat66",
        *([f"  {pin} {lent}"] if lends else []),
        "}",
        "chain npt_post {",
        "  type filter hook postrouting priority srcnat + 10; policy accept;",
        f"  oifname {wan} icmpv6 type {ERRORS} jump npt_error",
        f"  oifname {wan} goto npt_out",
        f"  {pin} icmpv6 type {ERRORS} jump npt_error",
        f"  {pin} goto npt_out",
        "}",
    ]
