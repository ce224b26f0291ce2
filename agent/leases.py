"""`routerctl leases`: who has which address, from the lease files of our own DHCP servers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from ipaddress import IPv6Network
from typing import Any, Protocol

from agent.config import Settings
from agent.drivers.kea_leases import HeldLease
from agent.model import Held
from agent.plan.leases import network_of
from agent.status_text import seconds


class Leasing(Protocol):
    """The running agent, as far as this needs it."""

    settings: Settings

    def held_leases(self) -> Iterable[HeldLease]:
        """The leases that hold now."""

    def held_prefixes(self) -> tuple[Held, ...]:
        """The global prefixes that hosts may have."""


def document(
    settings: Settings, held: Iterable[HeldLease], now: float, network: str = "", prefixes: tuple[Held, ...] = ()
) -> dict[str, object]:
    """The leases of each network, or of one, as JSON values; `now` in seconds since 1970, as their ends are.

    `prefixes`: the global ones that hosts may have.
    """
    names = [name for name in settings.networks if network in {"", name}]
    found: dict[str, list[dict[str, object]]] = {name: [] for name in names}
    for lease in held:
        name = network_of(settings, lease.binding, prefixes)
        if name in found:
            binding = lease.binding
            kind = "prefix" if isinstance(binding.leased, IPv6Network) else "address"
            left = None if lease.until is None else round(lease.until - now)
            entry = {kind: str(binding.leased), "name": binding.hostname, "mac": binding.mac, "duid": binding.duid}
            found[name].append({**entry, "left": left})
    return {"networks": {name: leases for name, leases in found.items() if leases or network}}


def commands(agent: Leasing) -> dict[str, Callable[[Mapping[str, object]], Awaitable[dict[str, object]]]]:
    """The command `leases`, with `network` for one of them."""

    async def leases(request: Mapping[str, object]) -> dict[str, object]:
        network = str(request.get("network") or "")
        if network and network not in agent.settings.networks:
            return {"error": f"there is no network `{network}`; there are {', '.join(agent.settings.networks)}"}
        return document(agent.settings, agent.held_leases(), time.time(), network, agent.held_prefixes())

    return {"leases": leases}


# Columns of what stands beside address and name: the time left, a MAC, what is between them.
_BESIDE = 2 + 2 + 8 + 2 + 2 + 17
_SHORTEST_NAME = 8


def leases_text(found: Mapping[str, Any], width: int) -> str:
    """The document as a table; what is too long for the terminal is cut, names first."""
    return "".join(line.rstrip()[: max(width, 40)] + "\n" for line in _lines(found["networks"], width))


def _lines(networks: Mapping[str, Any], width: int) -> Iterator[str]:
    rows = [row for name, leases in networks.items() for row in ((name, None), *((name, lease) for lease in leases))]
    leased = max((len(_leased(lease)) for _, lease in rows if lease), default=0)
    longest = max((len(lease["name"]) for _, lease in rows if lease), default=0)
    names = min(longest, max(_SHORTEST_NAME, width - leased - _BESIDE))
    if not any(networks.values()):
        yield "no leases"
        return
    for name, lease in rows:
        if lease is None:
            yield f"{name}  {len(networks[name])}"
            continue
        left = "for ever" if lease["left"] is None else seconds(lease["left"])
        client = lease["mac"] or lease["duid"]
        who = lease["name"] if len(lease["name"]) <= names else lease["name"][: names - 1] + "…"
        yield f"  {_leased(lease):<{leased}}  {left:>8}  {who:<{names}}  {client}"


def _leased(lease: Mapping[str, Any]) -> str:
    return str(lease.get("address") or lease.get("prefix"))
