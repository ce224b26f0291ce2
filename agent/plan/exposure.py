"""Which ports of containers are open from outside: what docker hosts ask for, as far as the configuration lets them.

A docker host is another machine, and may be anybody's. Whatever its agent says, it opens ports of `may_expose` alone,
and addresses of its own /80 alone. It may say so much, and no more: the rest is refused, and shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from agent.config import Settings
from agent.desired import Problem
from agent.desired.exposure import Agent, Exposed, HostExposure, Request
from agent.model import Container, Containers, Peer, PortSpan, State, Transport

# Openings of one docker host.
MAX_OPEN = 1024
LOST = "its host is lost"


def exposures(settings: Settings, state: State) -> tuple[HostExposure, ...]:
    """Every docker host with all that its containers ask for, in the order of the configuration."""
    return tuple(host_exposure(settings, name, state.peers.get(name)) for name in settings.docker_hosts)


def host_exposure(settings: Settings, host: str, peer: Peer | None) -> HostExposure:
    """What a docker host's containers ask for, and what of it is open. A lost host has nothing open."""
    agent = _agent(peer)
    said = peer.containers if peer is not None else None
    if said is None:
        return HostExposure(host, agent)
    found = _judged(_allowance(settings, host), _ByIdentity(said))
    if agent == "lost":
        refused = tuple(replace(r, open=False, reason=LOST) if r.open else r for r in found.requests)
        return replace(found, agent=agent, requests=refused, exposed=())
    return replace(found, agent=agent)


def problems(found: Iterable[HostExposure]) -> Iterator[Problem]:
    """One of each docker host where something was refused, is wrong, or is not known."""
    for host in found:
        refused = [request for request in host.requests if not request.open]
        if host.agent == "lost":
            yield Problem(
                f"exposure/{host.host}",
                f"{host.host} is lost: nothing of its containers is open",
                "is the machine up, does its agent run (`docker compose ps` there), does it reach the bus?",
            )
        elif host.error:
            yield Problem(
                f"exposure/{host.host}",
                f"{host.host} does not know its containers, so nothing of them is open: {host.error}",
                "see the log of its agent",
            )
        elif refused:
            first = refused[0]
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            asked = f" asks for {first.span}" if first.span else ""
            yield Problem(
                f"exposure/{host.host}",
                f"{first.container} of {host.host}{asked}: {first.reason}{more}",
                "`routerctl exposures` shows all; change the label, or `may_expose` of the docker host",
            )
        if host.left_out:
            yield Problem(
                f"exposure/{host.host}",
                f"{host.left_out} containers of {host.host} are not told of: more than one host can",
                "spread them over more docker hosts",
            )


def _agent(peer: Peer | None) -> Agent:
    if peer is None or (peer.containers is None and peer.state is None):
        return "silent"
    if peer.state is None:
        return "away"  # known from before a restart of ours
    match peer.state.state:
        case "lost":
            return "lost"
        case "disconnected":
            return "away"
    return "ready" if peer.containers is not None else "silent"


class _ByIdentity:
    """A fact as the key of a cache: it is large, and the same object from one plan to the next."""

    __slots__ = ("fact",)

    def __init__(self, fact: Containers) -> None:
        self.fact = fact

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.fact is self.fact

    def __hash__(self) -> int:
        return id(self.fact)


_Allowance = tuple[str, IPv6Network | None, tuple[tuple[str, int, int], ...]]


def _allowance(settings: Settings, host: str) -> _Allowance:
    """Its name, the /80 of its containers, the ports that it may expose."""
    ports = tuple((p.protocol, p.first, p.last) for p in settings.docker_hosts[host].may_expose.ports)
    return host, settings.docker_containers(host), ports


@lru_cache(maxsize=8192)
def _judged(allowance: _Allowance, said: _ByIdentity) -> HostExposure:
    host, own, allowed = allowance
    fact = said.fact
    owners: dict[IPv6Address, str] = {}
    requests: list[Request] = []
    opened: dict[tuple[IPv6Address, Transport], list[tuple[int, int]]] = {}
    number = 0
    for container in fact.containers:
        for request in _requests(host, own, allowed, container, owners):
            if request.open and number >= MAX_OPEN:
                said_so = f"{host} has {MAX_OPEN} openings already"
                requests.append(replace(request, open=False, reason=said_so))
                continue
            requests.append(request)
            if request.open and request.address is not None and request.span is not None:
                number += 1
                key = (request.address, request.span.protocol)
                opened.setdefault(key, []).append((request.span.first, request.span.last))
    exposed = tuple(
        Exposed(address, protocol, first, last)
        for (address, protocol), spans in sorted(opened.items())
        for first, last in merged(spans)
    )
    return HostExposure(host, "ready", fact.error, fact.left_out, len(fact.containers), tuple(requests), exposed)


def _requests(
    host: str,
    own: IPv6Network | None,
    allowed: Iterable[tuple[str, int, int]],
    container: Container,
    owners: dict[IPv6Address, str],
) -> Iterator[Request]:
    name = container.name
    for note in container.notes:
        yield Request(name, None, None, open=False, reason=note)
    if not container.ports:
        return
    for address in container.addresses:
        if own is None or address not in own:
            where = f"{address} is not of {host}'s containers ({own})"
            yield from (Request(name, address, span, open=False, reason=where) for span in container.ports)
        elif (owner := owners.setdefault(address, name)) != name:
            yield from (
                Request(name, address, span, open=False, reason=f"{address} is {owner}'s already")
                for span in container.ports
            )
        else:
            for span in container.ports:
                inside, whole = within(span, allowed)
                yield from (Request(name, address, part, open=True) for part in inside)
                if not whole:
                    yield Request(name, address, span, open=False, reason=_beyond(host, allowed, bool(inside)))


def _beyond(host: str, allowed: Iterable[tuple[str, int, int]], partly: bool) -> str:
    spans = [str(PortSpan("udp" if protocol == "udp" else "tcp", *ports)) for protocol, *ports in allowed]
    shown = ", ".join([*spans[:8], *(["…"] if len(spans) > 8 else [])])  # noqa: PLR2004 - as many as a line holds
    only = f"{host} may expose {shown} only" if spans else f"{host} may expose nothing"
    return f"{only} (may_expose)" + ("; the rest of it is refused" if partly else "")


def within(span: PortSpan, allowed: Iterable[tuple[str, int, int]]) -> tuple[tuple[PortSpan, ...], bool]:
    """The parts of a span that are allowed, disjoint and sorted; and whether that is all of it."""
    spans = merged((first, last) for protocol, first, last in allowed if protocol == span.protocol)
    parts = tuple(
        PortSpan(span.protocol, max(first, span.first), min(last, span.last))
        for first, last in spans
        if first <= span.last and span.first <= last
    )
    return parts, parts == (span,)


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same ports as disjoint spans that do not touch, sorted."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
