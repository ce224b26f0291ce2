"""`exposures`, as an agent answers it: on the firewall all docker hosts, on a docker host what it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from agent.desired.exposure import HostExposure, Request
from agent.model import Container, Containers
from agent.plan.exposure import exposures

if TYPE_CHECKING:
    from agent.commands import Running

_Answer = dict[str, object]


def commands(agent: Running) -> dict[str, Callable[[Mapping[str, object]], Awaitable[_Answer]]]:
    """`exposures`."""

    async def asked(_: Mapping[str, object]) -> _Answer:
        match agent.settings.role(agent.place.node):
            case "firewall":
                return _of_firewall(agent)
            case "docker-host":
                return _of_host(agent)
        return {"error": "the firewall opens ports of containers: ask in its container, or in a docker host's agent"}

    return {"exposures": asked}


def _of_firewall(agent: Running) -> _Answer:
    known = {host.host: host for host in exposures(agent.settings, agent.loop.state)}
    hosts: _Answer = {}
    requests: list[_Answer] = []
    for name in agent.settings.docker_hosts:
        host = known.get(name, HostExposure(name, "silent"))
        opened = len(host.exposed.ports) if host.exposed is not None else 0
        hosts[name] = {
            "agent": host.agent,
            "error": host.error,
            "containers": host.containers,
            "left_out": host.left_out,
            "open": opened,
        }
        requests += [_request(name, request) for request in host.requests]
    return {"hosts": hosts, "requests": requests}


def _request(host: str, request: Request) -> _Answer:
    return {
        "host": host,
        "container": request.container,
        "address": None if request.address is None else str(request.address),
        "port": None if request.span is None else str(request.span),
        "state": "open" if request.open else "refused",
        "reason": request.reason,
    }


def _of_host(agent: Running) -> _Answer:
    name = agent.place.node
    plan = agent.loop.applied
    facts = (publication.fact for publication in plan.facts) if plan is not None else ()
    said = next((fact for fact in facts if isinstance(fact, Containers)), Containers())
    host = {
        "agent": "ready" if agent.loop.state.bus_connected else "away",
        "error": said.error,
        "containers": len(said.containers),
        "left_out": said.left_out,
        "open": None,
    }
    return {"hosts": {name: host}, "requests": [r for found in said.containers for r in _asked(name, found)]}


def _asked(host: str, found: Container) -> Iterator[_Answer]:
    common = {"host": host, "container": found.name}
    for note in found.notes:
        yield {**common, "address": None, "port": None, "state": "wrong", "reason": note}
    for address in found.addresses:
        for span in found.ports:
            yield {**common, "address": str(address), "port": str(span), "state": "asked", "reason": ""}
