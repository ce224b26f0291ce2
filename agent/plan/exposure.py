"""Which ports of containers are open from outside: what docker hosts ask for, as far as the configuration lets them.

A docker host is another machine, and may be anybody's. Whatever its agent says, it opens ports of `may_expose` alone,
and addresses of its own /80 alone. It may say so much, and no more: the rest is refused, and shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from itertools import islice

from agent.config import Settings
from agent.desired import Problem
from agent.desired.docker_hosts import Exposed, Port
from agent.desired.exposure import Agent, HostExposure, Request
from agent.model import Container, Containers, Peer, PortSpan, State
from agent.plan.same import Same

# Open ports of one docker host: each is an element of a set in the kernel.
MAX_OPEN = 1024
# Requests of one docker host that are looked at: a document can name more than anybody would read.
MAX_REQUESTS = 2048
LOST = "its host is lost"


@dataclass(slots=True)
class _Memo:
    """What was found last for a configuration: thousands of docker hosts, of which an event changes one."""

    settings: Settings | None = None
    peers: Mapping[str, Peer] | None = None
    hosts: dict[str, tuple[Peer, HostExposure]] = field(default_factory=dict)
    found: tuple[HostExposure, ...] = ()


_memo = _Memo()


def exposures(settings: Settings, state: State) -> tuple[HostExposure, ...]:
    """Every docker host that was heard of, with all that its containers ask for, in the order of the configuration."""
    if _memo.settings is settings and _memo.peers is state.peers:
        return _memo.found
    before = _memo.hosts if _memo.settings is settings else {}
    hosts: dict[str, tuple[Peer, HostExposure]] = {}
    for name in settings.docker_hosts:
        peer = state.peers.get(name)
        if peer is not None:
            known = before.get(name)
            fits = known is not None and known[0] is peer
            hosts[name] = known if fits and known is not None else (peer, host_exposure(settings, name, peer))
    _memo.settings, _memo.peers, _memo.hosts = settings, state.peers, hosts
    _memo.found = tuple(found for _, found in hosts.values())
    return _memo.found


def exposed(settings: Settings, state: State) -> tuple[Exposed, ...]:
    """What is open, by docker host."""
    return tuple(host.exposed for host in exposures(settings, state) if host.exposed is not None)


def host_exposure(settings: Settings, host: str, peer: Peer | None) -> HostExposure:
    """What a docker host's containers ask for, and what of it is open. A lost host has nothing open."""
    agent = _agent(peer)
    said = peer.containers if peer is not None else None
    if said is None:
        return HostExposure(host, agent)
    found = _judged(_allowance(settings, host), Same(said))
    if agent == "lost":
        refused = tuple(replace(r, open=False, reason=LOST) if r.open else r for r in found.requests)
        return replace(found, agent=agent, requests=refused, refused=len(refused), exposed=None)
    return replace(found, agent=agent)


def problems(found: Iterable[HostExposure]) -> Iterator[Problem]:
    """One of each docker host where something was refused, is wrong, or is not known."""
    for host in found:
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
        elif host.refused:
            first = next(request for request in host.requests if not request.open)
            more = f" (and {host.refused - 1} more)" if host.refused > 1 else ""
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


_Allowance = tuple[str, IPv6Network | None, IPv6Network, tuple[tuple[str, int, int], ...]]


def _allowance(settings: Settings, host: str) -> _Allowance:
    """Its name, the /80 of its containers, the whole plan, the ports that it may expose."""
    ports = tuple((p.protocol, p.first, p.last) for p in settings.docker_hosts[host].may_expose.ports)
    return host, settings.docker_containers(host), settings.site.prefix, ports


@lru_cache(maxsize=8192)
def _judged(allowance: _Allowance, said: Same[Containers]) -> HostExposure:
    host, _, _, _ = allowance
    fact = said.value
    owners: dict[IPv6Address, str] = {}
    requests: list[Request] = []
    ports: dict[Port, None] = {}
    asked = (r for container in fact.containers for r in _requests(allowance, container, owners))
    for request in islice(asked, MAX_REQUESTS):
        if request.open and request.address is not None and request.span is not None:
            protocol, first, last = request.span
            if len(ports) + last - first >= MAX_OPEN:
                refused = f"{host} would have more than {MAX_OPEN} ports open"
                requests.append(replace(request, open=False, reason=refused))
                continue
            ports.update(dict.fromkeys((request.address, protocol, port) for port in range(first, last + 1)))
        requests.append(request)
    too_many = f"{host} asks for more than {MAX_REQUESTS} ports: this and all after it"
    requests.extend(replace(request, open=False, reason=too_many) for request in islice(asked, 1))
    opened = Exposed(host, tuple(sorted(ports))) if ports else None
    number, count = len(fact.containers), sum(not request.open for request in requests)
    return HostExposure(host, "ready", fact.error, fact.left_out, number, tuple(requests), count, opened)


def _requests(allowance: _Allowance, container: Container, owners: dict[IPv6Address, str]) -> Iterator[Request]:
    host, own, plan, allowed = allowance
    name = container.name
    for note in container.notes:
        yield Request(name, None, None, open=False, reason=note)
    if not container.ports:
        return
    reachable = any(own is not None and address in own for address in container.addresses)
    for address in container.addresses:
        if own is None or address not in own:
            if reachable and address not in plan:
                continue  # of a network of the VM's own beside ours (a ULA): nobody meant it
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
