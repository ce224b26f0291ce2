"""Faults to choose from: what is done to the router, and which uplinks carry nothing, or no connection is safe on."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.lab.faults import blackhole, frozen_broker, vanished
from tests.lab.node import Node
from tests.lab.uplinks_world import UplinksWorld

UPLINKS = ("kpn", "odido")


@dataclass(frozen=True)
class Fault:
    """`dead`: uplinks that carry nothing while it lasts. `touched`: uplinks whose connections may end by it."""

    name: str
    inject: Callable[[UplinksWorld], AbstractContextManager[None]]
    dead: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()


def choose(generator: random.Random) -> Fault:
    """The next fault. One generator with one seed gives one story."""
    uplink = generator.choice(UPLINKS)
    one = frozenset({uplink})
    node = generator.choice(("kpn", "odido", "firewall"))
    faults = (
        Fault(f"cut {uplink}", lambda world: _cut(world, uplink), one, one),
        Fault(f"flap {uplink}", lambda world: _flap(world, uplink), touched=one),
        Fault(f"loss at {uplink}", lambda world: _loss(world.nodes[f"{uplink}-isp"]), touched=one),
        # Only kpn has targets beyond the ISP's first hop.
        Fault(
            "blackhole at kpn", lambda world: blackhole(world.nodes["kpn-isp"]), frozenset({"kpn"}), frozenset({"kpn"})
        ),
        Fault(f"{uplink} vanished", lambda world: vanished(world, uplink), one, one),
        # When it goes on, it tells of all that was meanwhile.
        Fault("broker frozen", frozen_broker, touched=frozenset(UPLINKS)),
        Fault("broker restarted", lambda world: _restart(world, "firewall", "mosquitto")),
        Fault(f"agent of {node} restarted", lambda world: _restart(world, node, "router-agent")),
        Fault(f"agent of {node} killed", lambda world: _kill(world, node)),
        Fault(f"{uplink} drained", lambda world: _drained(world, uplink)),
    )
    return generator.choice(faults)


@contextlib.contextmanager
def _cut(world: UplinksWorld, uplink: str) -> Iterator[None]:
    world.down(uplink)
    try:
        yield
    finally:
        world.up(uplink)


@contextlib.contextmanager
def _flap(world: UplinksWorld, uplink: str) -> Iterator[None]:
    for _ in range(3):
        world.down(uplink)
        world.up(uplink)
    yield


@contextlib.contextmanager
def _loss(isp: Node) -> Iterator[None]:
    chain = "chain c { type filter hook forward priority -300; policy accept; numgen random mod 100 < 10 drop; }"
    isp.run(["nft", "-f", "-"], stdin=f"table inet loss {{ {chain}\n}}\n")
    try:
        yield
    finally:
        isp.run(["nft", "delete", "table", "inet", "loss"])


@contextlib.contextmanager
def _restart(world: UplinksWorld, node: str, service: str) -> Iterator[None]:
    world.services[node].dinitctl("restart", service)
    yield


@contextlib.contextmanager
def _kill(world: UplinksWorld, node: str) -> Iterator[None]:
    world.services[node].kill("router-agent", signal.SIGKILL)
    yield


@contextlib.contextmanager
def _drained(world: UplinksWorld, uplink: str) -> Iterator[None]:
    firewall = world.nodes["firewall"]
    firewall.run(["routerctl", "uplink", uplink, "drain"], check=False)  # its agent may just restart
    try:
        yield
    finally:
        firewall.run(["routerctl", "uplink", uplink, "enable"], check=False)
