"""Global addressing in nft: the /64s that hosts of a zone have of the uplinks' prefixes.

They are looked up by masking the address, as docker hosts' prefixes are: an event costs an element. The source chooses
the uplink (RFC 8028): `source6` is filled by events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Network

from agent.desired.firewall import PINNED, FirewallPolicy, FirewallTable, Zone
from agent.render.nft_firewall_rules import chain
from agent.render.nft_text import quoted

_MASK = IPv6Network("::/64").netmask
SOURCE = f"ip6 saddr & {_MASK}"
# A withdrawn prefix: RFC 7084 L-14, code 5 (source address failed ingress/egress policy).
_REFUSE = "reject with icmpv6 type policy-fail"


def lends(policy: FirewallPolicy) -> bool:
    """Whether any zone's hosts may have global addresses."""
    return any(zone.lent for zone in policy.zones)


def global_sets(policy: FirewallPolicy) -> list[str]:
    """By zone: all that its hosts may have. `lent6`: what can be used; `stale6`: what was withdrawn."""
    names = [f"global6_{zone.name}" for zone in policy.zones if zone.lent]
    return [f"set {name} {{ type ipv6_addr; }}" for name in (*names, "lent6", "stale6")] if names else []


def global_sources(zone: Zone) -> list[str]:
    """Sources of a zone beside its internal ones."""
    return [f"{SOURCE} @global6_{zone.name} return"] if zone.lent else []


def global_outside(policy: FirewallPolicy) -> list[str]:
    """From outside nobody bears an address of ours."""
    return [f"{SOURCE} @lent6 counter drop"] if lends(policy) else []


def global_marks(policy: FirewallPolicy, chosen: list[str]) -> Iterator[list[str]]:
    """The mark of a new connection from a global address: that of its own uplink, whatever is chosen else.

    A rule that allows one uplink `only` stands above it: another one's addresses do not get out.
    """
    if not lends(policy):
        return
    yield chain("mark_lent", chosen)
    yield chain("source6", [])
    yield [
        "chain mangle_source {",
        "    type filter hook prerouting priority mangle + 1; policy accept;",
        f"    ct mark & 0xff == 0 {SOURCE} @lent6 goto source6",
        # Any way out will do: it is refused before it is taken.
        f"    {SOURCE} @stale6 meta mark set iifname map @choice6",
        "}",
    ]


def global_dispatch(policy: FirewallPolicy) -> list[str]:
    """Before the uplinks' own addresses are looked up: to those, too, goes a global source by its own uplink."""
    return [f"{SOURCE} @lent6 goto mark_lent"] if lends(policy) else []


def global_refused(policy: FirewallPolicy) -> list[str]:
    """The head of forward: connections that there are already end too."""
    return [f"oifname {quoted(policy.transit.device)} {SOURCE} @stale6 {_REFUSE}"] if lends(policy) else []


def global_elements(table: FirewallTable) -> dict[str, dict[str, str]]:
    """The elements of all these sets."""
    found: dict[str, dict[str, str]] = {f"global6_{zone.name}": {} for zone in table.policy.zones if zone.lent}
    if not found:
        return {}
    found |= {"lent6": {}, "stale6": {}}
    for zone, prefix, mark in table.lent6:
        for name in (f"global6_{zone}", "lent6" if mark else "stale6"):
            found.get(name, {})[str(prefix.network_address)] = ""
    return found


def global_chains(table: FirewallTable) -> Mapping[str, tuple[str, ...]]:
    """The mark of each prefix."""
    if not lends(table.policy):
        return {}
    lines: list[str] = []
    for _, prefix, mark in table.lent6:
        if mark:
            lines += [
                f"ip6 saddr {prefix} meta mark & 0x1ff == {mark | PINNED:#x} accept",
                f"ip6 saddr {prefix} meta mark & {PINNED:#x} != 0x0 meta mark set {PINNED:#x} accept",
                f"ip6 saddr {prefix} meta mark set {mark:#x} accept",
            ]
    return {"source6": tuple(lines)}
