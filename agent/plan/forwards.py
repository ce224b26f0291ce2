"""Port forwards: who may use them, what they lead to, and those that an uplink cannot serve now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from agent.config.address_list import literal
from agent.config.forward import Forward
from agent.config.settings import Settings
from agent.desired import Problem
from agent.desired.firewall import AcceptedForward
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.rule_ends import joined
from agent.plan.rule_matches import merged


def sources(settings: Settings, forward: Forward) -> tuple[IPv4Network, ...] | None:
    """Who may use a forward, None for everybody."""
    if not forward.from_:
        return None
    found: list[IPv4Network] = []
    for word in forward.from_:
        if word in settings.networks:
            network = settings.networks[word].ipv4_network
            found += [network] if network is not None else []
        elif word in settings.lists:
            found += [entry for entry in settings.lists[word].addresses if isinstance(entry, IPv4Network)]
        elif isinstance(prefix := literal(word), IPv4Network):
            found.append(prefix)
    return tuple(network for network in joined(found) if isinstance(network, IPv4Network))


def accepted(settings: Settings) -> tuple[AcceptedForward, ...]:
    """What the port forwards lead to, each port once."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for forward in settings.forwards.values():
        for mapped in forward.mapped:
            found.setdefault((forward.to, mapped.protocol), []).append((mapped.to_first, mapped.to_last))
    result = []
    for (host, protocol), ports in sorted(found.items()):
        address = settings.host_address4(host)
        if address is not None:
            result += [AcceptedForward(address, protocol, *part) for part in merged(ports)]  # type: ignore[arg-type]
    return tuple(result)


def problems(settings: Settings, uplinks: Mapping[str, UplinkView]) -> Iterator[Problem]:
    """Forwards whose uplink carries no IPv4 now; nothing is said of an uplink of which nothing was heard yet."""
    for name, uplink in uplinks.items():
        mine = ", ".join(settings.forwards_of(name))
        why = uplink.down(4)
        if mine and uplink.known and why:
            message = f"{mine} cannot be reached through {name}: {why}"
            yield Problem(f"forwards/{name}", message, "they open again when the uplink returns; others are open")
