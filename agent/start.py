"""How a process becomes the agent of its node: which configuration it starts with, which composition its role has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.boot import BoottimeClock
from agent.candidate import Candidate, first
from agent.drivers.config_store import ConfigStore, Kept
from agent.place import Place


@dataclass(frozen=True, slots=True)
class Start:
    """What the agent starts with. `error`: what is wrong with the node's own file, empty for nothing."""

    candidate: Candidate
    kept: Kept
    error: str
    store: ConfigStore


async def run(environ: Mapping[str, str]) -> None:
    """Run the agent of this container. Raises ConfigError before anything is touched."""
    place = Place.of(environ)
    store = ConfigStore(place.state)
    candidate, kept, error = first(place, environ, store.load(), BoottimeClock().now())
    place.state.mkdir(parents=True, exist_ok=True)
    place.run.mkdir(parents=True, exist_ok=True)
    start = Start(candidate, kept, error, store)
    # Imported late: a docker host has neither nftables nor netlink to load.
    if candidate.settings.role(place.node) == "docker-host":
        from agent.docker_host import DockerHostAgent  # noqa: PLC0415

        await DockerHostAgent(place, start, environ).run()
    else:
        from agent.app import Agent  # noqa: PLC0415

        await Agent(place, start, environ).run()
