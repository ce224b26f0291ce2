"""The filter chains of an ingress: what reaches itself, what passes, what it says."""

from __future__ import annotations

from agent.desired.ingress import IngressStatic
from agent.desired.probe import WATCH_DEAD, WATCH_IDENTIFIER
from agent.model import Family
from agent.render.nft_ingress_prefixes import LENT_DESTINATION, LENT_SOURCE, prefixes
from agent.render.nft_text import braced

# The policy once more: a new chain has its policy some microseconds after its rules.
LAST = "  drop"


def input_chain(wan: str, dmz: str) -> list[str]:
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
        LAST,
        "}",
    ]


def offloads(static: IngressStatic) -> bool:
    """Whether there is a flowtable: the kernel has them, and both devices are there."""
    return static.flowtable and static.wan is not None and static.dmz is not None


def forward_chains(static: IngressStatic, wan: str, dmz: str, *, offload: bool) -> list[str]:
    """The few directions that may pass, and a chain for each."""
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
        LAST,
        "}",
        "chain f_in {",
        *(f"  ct state untracked ip6 daddr {prefix} accept" for prefix in inside),
        *([f"  ct state untracked {LENT_DESTINATION} @lent6 accept"] if static.lends else []),
        "  ct status dnat accept",
        LAST,
        "}",
        "chain f_out {",
        *(f"  ct state untracked ip6 saddr {prefix} accept" for prefix in inside),
        *([f"  ct state untracked {LENT_SOURCE} @lent6 accept"] if static.lends else []),
        "  oifname @open4 ip saddr @internal4 accept",
        "  oifname @open6 ip6 saddr @internal6 accept",
        "  ip saddr @internal4 reject with icmp type net-unreachable",
        # RFC 7084 L-14: a source that has no translation here is told so.
        "  ip6 saddr @internal6 reject with icmpv6 type policy-fail",
        LAST,
        "}",
        "chain f_hairpin {",
        "  ct state untracked ip6 saddr @internal6 ip6 daddr @mapped6 accept",
        "  ct status dnat accept",
        "  oifname @open6 ip6 saddr @internal6 ip6 daddr @mapped6 accept",
        *([f"  {LENT_SOURCE} @lent6 ip6 daddr @mapped6 accept"] if static.lends else []),
        LAST,
        "}",
    ]


def output_chain(dmz: str) -> list[str]:
    """What it says itself: no redirect, and errors about translated packets in the words of their sender."""
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
