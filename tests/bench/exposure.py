"""Containers that open what they may: from the engine's word to packets from outside, and back."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.bench.report import Figure, figure
from tests.engine.store import EngineMissingError
from tests.engine.vm_world import VmWorld, start_time, took
from tests.lab.exposure_world import ExposureWorld
from tests.lab.hoster_world import address
from tests.lab.internet import ask
from tests.lab.wait import wait_for

RUNS = 20
# Seconds that a packet from outside has to be answered: the next one shows it otherwise.
EACH = 0.01


def container_times() -> tuple[Figure, Figure]:
    """Milliseconds from a container's start to the first connection from outside, and from its end to a closed port.

    With a real engine where one can run, by the engine's own clock: an end shows in the firewall's kernel, as nothing
    answers any more. Else with the recorded one, where packets show both.
    """
    try:
        opened, closed = _real()
    except EngineMissingError as error:
        print(f"  recorded engine: {error}")
        opened, closed = _recorded()
    return figure("container-open", "ms", opened), figure("container-close", "ms", closed)


def _until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    wait_for(condition, 20, what, interval=0)


def _real() -> tuple[list[float], list[float]]:
    opened: list[float] = []
    closed: list[float] = []
    with VmWorld() as world:
        world.create("web", "--label", "router.expose=443/tcp")
        for _ in range(RUNS):
            world.engine.docker("start", "web")
            where = world.address("web")
            _until(lambda w=where: world.asked(w, 0.02), world.said)  # type: ignore[misc]
            opened.append(took(start_time(world.engine, "web")))
            world.engine.docker("kill", "web")
            _until(lambda w=where: not world.forwards(w), world.said)  # type: ignore[misc]
            closed.append(took(start_time(world.engine, "web", "FinishedAt")))
    return opened, closed


def _recorded() -> tuple[list[float], list[float]]:
    opened: list[float] = []
    closed: list[float] = []
    with ExposureWorld() as world:
        outside, engine, web = world.nodes["outside"], world.engines["vm1"], address("web")

        def asked() -> bool:
            return ask(outside, "udp", web, 443, timeout=EACH) is not None

        for _ in range(RUNS):
            for step, samples, wanted in (("web started", opened, True), ("web killed", closed, False)):
                since = time.time()
                engine.step(step)
                _until(lambda w=wanted: asked() == w, world.said)  # type: ignore[misc]
                samples.append(took(since))
    return opened, closed
