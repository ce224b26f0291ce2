"""The skeleton of an ingress's nftables rules: all that does not change with an address or a prefix."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from agent.desired.guard import GUARDED
from agent.desired.ingress import Forward, IngressStatic
from agent.render.nft_ingress_chains import chains
from agent.render.nft_ingress_filter import offloads
from agent.render.nft_ingress_prefixes import inner_only, prefixes
from agent.render.nft_text import braced, quoted, sized_set


@lru_cache(maxsize=8)
def skeleton(static: IngressStatic) -> str:
    """A complete nft script: declares, deletes and declares again each of our tables. The dynamic parts are empty."""
    lines = [
        "table inet router",
        "delete table inet router",
        *_no_guard(),
        "table inet router {",
        *(f"  {line}" for line in (*_sets(static), *_flowtable(static), *chains(static))),
        "}",
        *_guard(static),
    ]
    return "\n".join(lines) + "\n"


def _sets(static: IngressStatic) -> list[str]:
    same, other = _forwards(forward for forward in static.forwards if forward.sources is None)
    return [
        "# facts of the moment: the uplink's own addresses, what is mapped, the sources of NAT and where it is on",
        "set own4 { type ipv4_addr; }",
        "set own6 { type ipv6_addr; }",
        "set reserved6 { type ipv6_addr; }",
        "set mapped6 { type ipv6_addr; flags interval; }",
        "map nat44 { type ifname : ipv4_addr; }",
        "map nat66 { type ifname : ipv6_addr; }",
        *(["set lent6 { type ipv6_addr; }", "map hairpin6 { type ifname : ipv6_addr; }"] if static.lends else []),
        "set open4 { type ifname; }",
        "set open6 { type ifname; }",
        "# the DMZ, for the families that carry packets",
        "set alive4 { type ifname; }",
        "set alive6 { type ifname; }",
        "# of the configuration",
        sized_set("internal4", "ipv4_addr", prefixes(static.internal4)),
        sized_set("internal6", "ipv6_addr", prefixes(static.internal6)),
        f"map forward_same {{ type inet_proto . inet_service : ipv4_addr; flags interval; {_elements(same)}}}",
        f"map forward_other {{ type inet_proto . inet_service : ipv4_addr . inet_service; {_elements(other)}}}",
        *_further(static),
    ]


def _further(static: IngressStatic) -> list[str]:
    """Further addresses of the uplink, mapped 1:1."""
    if not static.public4:
        return []
    to = (f"{public} : {host}" for public, host in static.public4)
    back = (f"{host} : {public}" for public, host in static.public4)
    return [
        f"map public4 {{ type ipv4_addr : ipv4_addr; elements = {braced(to)} }}",
        f"map behind4 {{ type ipv4_addr : ipv4_addr; elements = {braced(back)} }}",
    ]


def _flowtable(static: IngressStatic) -> list[str]:
    """Names devices that exist: another fails the whole script. A device's successor needs it anew, see `_guard`.

    Stateless translation never enters it: it is not tracked.
    """
    if not offloads(static):
        return []
    devices = braced([quoted(static.dmz or ""), quoted(static.wan or "")])
    return [f"flowtable fast {{ hook ingress priority filter; devices = {devices}; }}"]


def _forwards(forwards: Iterable[Forward]) -> tuple[list[str], list[str]]:
    """Ports that stay as they are, by range, and ports that change, one by one: nft shifts no range."""
    same, other = [], []
    for forward in forwards:
        if forward.first == forward.to_first:
            ports = f"{forward.first}" if forward.first == forward.last else f"{forward.first}-{forward.last}"
            same.append(f"{forward.protocol} . {ports} : {forward.to}")
        else:
            shift = forward.to_first - forward.first
            other += [
                f"{forward.protocol} . {port} : {forward.to} . {port + shift}"
                for port in range(forward.first, forward.last + 1)
            ]
    return same, other


def _elements(found: list[str]) -> str:
    return f"elements = {{ {', '.join(found)} }}; " if found else ""


def _no_guard() -> list[str]:
    """Takes the guard away and keeps its counter, whose table therefore stays: replaced it would begin at zero."""
    return [
        "table netdev router",
        f"add counter netdev router {GUARDED}",
        "add chain netdev router guard",
        "flush chain netdev router guard",
        "delete chain netdev router guard",
    ]


def _guard(static: IngressStatic) -> list[str]:
    """The last word, on the device itself: no internal address leaves, whatever the other chains did.

    It sees what a flowtable sends too. A device that is gone is not named: some kernels refuse it.
    """
    stop = f'counter name "{GUARDED}" drop'
    if static.wan is None:
        return []
    lines = [
        f"# {static.wan} is link {static.wan_index}: a successor of the same name needs the hook anew",
        "table netdev router {",
        "  chain guard {",
        f"    type filter hook egress device {quoted(static.wan)} priority filter; policy accept;",
        *([f"    ether saddr != {static.mac} counter drop"] if static.mac else []),
        # No sets: for microseconds after a replace the kernel finds nothing in a new set of intervals.
        *(f"    ip6 {side} {prefix} {stop}" for side in ("saddr", "daddr") for prefix in prefixes(inner_only(static))),
    ]
    if static.internal4:
        found = braced(prefixes(static.internal4))
        lines += [f"    ip saddr {found} {stop}", f"    ip daddr {found} {stop}"]
    return [*lines, "  }", "}"]
