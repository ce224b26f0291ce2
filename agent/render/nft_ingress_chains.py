"""The static chains of an ingress. Their order is what makes translation right: see docs/decisions/0003.

raw: spoofed sources go, own addresses stay tracked, mapped ones are translated and not tracked. dstnat: forwards.
forward: the few directions that may pass. srcnat: NAT44, NAT66. After it: stateless sources, and what errors quote.
"""

from __future__ import annotations

from agent.desired.ingress import IngressStatic
from agent.render.nft_ingress_filter import forward_chains, input_chain, offloads, output_chain
from agent.render.nft_ingress_prefixes import (
    LENT_SOURCE,
    LINK_LOCAL,
    SITE_LOCAL,
    UNSPECIFIED,
    inner_only,
    prefixes,
)
from agent.render.nft_text import braced, quoted

# ICMPv6 destination-unreachable, packet-too-big, time-exceeded, parameter-problem (RFC 4443 section 2.1): a range costs
# less to load than a set, and a prefix change loads it anew.
ERRORS = "1-4"


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
        *input_chain(wan, dmz),
        *forward_chains(static, wan, dmz, offload=offloads(static)),
        *output_chain(dmz),
        *_postrouting(static, wan, dmz),
    ]


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
        *(["  dnat ip to ip daddr map @public4"] if static.public4 else []),
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
    never = prefixes([*inner_only(static), SITE_LOCAL])
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
    inside = " ".join(f"ip6 saddr != {prefix}" for prefix in prefixes([*static.internal6, LINK_LOCAL, UNSPECIFIED]))
    inside += f" {LENT_SOURCE} != @lent6" if static.lends else ""
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


def _postrouting(static: IngressStatic, wan: str, dmz: str) -> list[str]:
    # The mapped host answers a global source directly, behind the firewall: only a source of ours brings it back here.
    lent = f"{LENT_SOURCE} @lent6 ip6 daddr @mapped6 snat ip6 to oifname map @hairpin6"
    pin = f"iifname {dmz} oifname {dmz}"
    return [
        "chain nat_post {",
        "  type nat hook postrouting priority srcnat; policy accept;",
        *([f"  oifname {wan} snat ip to ip saddr map @behind4"] if static.public4 else []),
        *(f"  oifname {wan} ip saddr {network} snat ip to {public}" for network, public in static.shared4),
        f"  oifname {wan} ip saddr @internal4 snat ip to oifname map @nat44",
        f"  oifname {wan} ip6 saddr @internal6 snat ip6 to oifname map @nat66",
        f"  {pin} ct status dnat ip saddr @internal4 snat ip to oifname map @nat44",
        f"  {pin} ip6 saddr @internal6 ip6 daddr @mapped6 snat ip6 to oifname map @nat66",
        *([f"  {pin} {lent}"] if static.lends else []),
        "}",
        "chain npt_post {",
        "  type filter hook postrouting priority srcnat + 10; policy accept;",
        f"  oifname {wan} icmpv6 type {ERRORS} jump npt_error",
        f"  oifname {wan} goto npt_out",
        f"  {pin} icmpv6 type {ERRORS} jump npt_error",
        f"  {pin} goto npt_out",
        "}",
    ]
