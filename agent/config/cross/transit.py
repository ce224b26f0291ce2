"""The transit network: one, and able to carry what the ingresses need."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.finding import Complaint
from agent.config.rule import Rule
from agent.config.settings import ANY, INTERNET, Settings
from agent.config.uplink import WireguardUplink


def check(settings: Settings) -> Iterator[Complaint]:
    """Exactly one where there are uplinks, with room for each, and never through a tunnel of its own."""
    transits = [name for name, network in settings.networks.items() if network.transit]
    if settings.uplinks and not transits:
        mend = "add `transit: true` to the network where the ingresses live, such as `dmz`"
        yield Complaint(("networks",), "no network is the transit network", mend, at_key=True)
    for name in transits[1:]:
        message = f"`{name}` and `{transits[0]}` are both the transit network"
        yield Complaint(("networks", name, "transit"), message, "keep `transit: true` at one network")
    if transits:
        yield from _room(settings, transits[0])
        yield from _tunnels(settings, transits[0])


def _room(settings: Settings, name: str) -> Iterator[Complaint]:
    network = settings.networks[name]
    if network.ipv4 and settings.uplinks and network.dhcp4 is None:
        mend = f"add `dhcp4: {{ pool: … }}` with at least {len(settings.uplinks)} addresses"
        yield Complaint(("networks", name), "the ingresses get their IPv4 addresses here by DHCP", mend, at_key=True)
    size = sum(pool.size for pool in network.dhcp4.pool) if network.dhcp4 else 0
    if network.dhcp4 and size < len(settings.uplinks):
        message = f"{size} addresses for {len(settings.uplinks)} uplinks"
        yield Complaint(("networks", name, "dhcp4", "pool"), message, "give each uplink an address: widen the pool")


def _tunnels(settings: Settings, name: str) -> Iterator[Complaint]:
    for number, uplink in enumerate(entry.uplink for entry in settings.networks[name].uplinks or ()):
        if isinstance(settings.uplinks.get(uplink), WireguardUplink):
            message = f"`{uplink}` is a tunnel: its own outer packets would go through it"
            yield Complaint(("networks", name, "uplinks", number), message, "delete it from this list")
    for uplink, found in settings.uplinks.items():
        if not isinstance(found, WireguardUplink):
            continue
        if all(isinstance(other, WireguardUplink) for other in settings.uplinks.values()):
            message = "a tunnel needs an uplink of another kind below it"
            yield Complaint(("uplinks", uplink), message, "add one of kind pppoe, dhcp or static", at_key=True)
        port = found.peer.endpoint.port
        if not any(_lets_out(rule, name, port) for rule in settings.rules):
            mend = f"add the rule {{ from: {name}, to: internet, udp: {port}, action: accept }}"
            message = "no rule lets the tunnel's outer packets out"
            yield Complaint(("uplinks", uplink, "peer", "endpoint"), message, mend, level="warning")


def _lets_out(rule: Rule, transit: str, port: int) -> bool:
    """Whether the tunnel's packets to that port may pass by this rule."""
    named = {transit, ANY} & set(rule.from_) and {INTERNET, ANY} & set(rule.to)
    ports = not rule.ports or any(p.protocol == "udp" and p.first <= port <= p.last for p in rule.ports)
    return bool(named) and ports and rule.action == "accept"
