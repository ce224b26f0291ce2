"""Faults to choose from: what is done to the router, which uplinks it kills, and where no connection is safe."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.chaos.world import ChaosWorld
from tests.lab.faults import blackhole, frozen_broker
from tests.lab.node import Node

UPLINKS = ("kpn", "odido")
# Seconds that the clock is set wrong by: NTP after a boot without a clock, an hour, a correction.
JUMPS = (-86400 * 3650, -3600, -5, 5, 3600, 86400 * 365)
_ALL = frozenset(UPLINKS)
_NONE: frozenset[str] = frozenset()

Inject = Callable[[ChaosWorld], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """`dead`: uplinks that carry nothing while it lasts. `touched`: uplinks whose connections may end by it.

    One that does not last is over when it is injected.
    """

    name: str
    inject: Inject
    dead: frozenset[str] = _NONE
    touched: frozenset[str] = _NONE
    lasts: bool = True


class Choice:
    """Draws faults: one generator with one seed gives one story. `services`: node → what runs there."""

    def __init__(self, generator: random.Random, services: dict[str, tuple[str, ...]]) -> None:
        self._generator = generator
        self._services = services

    def next(self) -> Fault:
        """The next fault: first of what kind, then where."""
        draw = self._generator
        kinds = (self._line, self._line, self._partition, self._partition, self._process, self._process, self._other)
        return draw.choice(kinds)(draw.choice(UPLINKS))

    def _line(self, uplink: str) -> Fault:
        one = frozenset({uplink})
        faults = (
            Fault(f"{uplink}: no carrier", lambda world: _cut(world, uplink), one, one),
            Fault(f"{uplink}: carrier flaps", lambda world: _flap(world, uplink), touched=one, lasts=False),
            Fault(f"{uplink}: 10 % loss", lambda world: _loss(world.nodes[f"{uplink}-isp"]), touched=one),
            # Only kpn has targets beyond the ISP's first hop.
            Fault("kpn: blackhole", lambda world: blackhole(world.nodes["kpn-isp"]), frozenset({"kpn"}), _kpn()),
        )
        return self._generator.choice(faults)

    def _partition(self, uplink: str) -> Fault:
        one = frozenset({uplink})
        node = self._generator.choice((*UPLINKS, "firewall"))
        faults = (
            Fault(f"partition: {uplink} and its ISP", lambda world: _silence(world.nodes[f"{uplink}-isp"]), one, one),
            Fault(f"partition: {uplink} and the DMZ", lambda world: _unplugged(world, uplink, "dmz"), one, one),
            Fault(f"partition: {node} and the bus", lambda world: _unplugged(world, node, "backstage")),
            Fault(
                f"partition: {uplink}, all of it", lambda world: _unplugged(world, uplink, "dmz", "backstage"), one, one
            ),
            Fault(
                "partition: the firewall and the DMZ", lambda world: _unplugged(world, "firewall", "dmz"), _ALL, _ALL
            ),
        )
        return self._generator.choice(faults)

    def _process(self, _: str) -> Fault:
        node = self._generator.choice(sorted(self._services))
        service = self._generator.choice(self._services[node])
        faults = (
            Fault(f"{service} of {node} restarts", lambda world: _restart(world, node, service), lasts=False),
            Fault(f"{service} of {node} is killed", lambda world: _kill(world, node, service), lasts=False),
        )
        return self._generator.choice(faults)

    def _other(self, uplink: str) -> Fault:
        seconds = self._generator.choice(JUMPS)
        faults = (
            Fault(f"the clock is off by {seconds:+d} s", lambda world: _clock(world, seconds)),
            Fault("the broker is frozen", frozen_broker),
            Fault(f"{uplink} is drained by hand", lambda world: _drained(world, uplink)),
        )
        return self._generator.choice(faults)


def _kpn() -> frozenset[str]:
    return frozenset({"kpn"})


@contextlib.contextmanager
def _cut(world: ChaosWorld, uplink: str) -> Iterator[None]:
    world.down(uplink)
    try:
        yield
    finally:
        world.up(uplink)


@contextlib.contextmanager
def _flap(world: ChaosWorld, uplink: str) -> Iterator[None]:
    """A line that is cut stays so: a flap that mended it told a story of a dead uplink in good health (seed 4)."""
    cut = not world.nodes[f"{uplink}-isp"].output(["ip", "link", "show", "up", "dev", "port"]).strip()
    for _ in range(3):
        world.down(uplink)
        world.up(uplink)
    if cut:
        world.down(uplink)
    yield


@contextlib.contextmanager
def _table(node: Node, family: str, chain: str) -> Iterator[None]:
    node.run(["nft", "-f", "-"], stdin=f"table {family} chaos {{ chain c {{ {chain}\n}}\n}}\n")
    try:
        yield
    finally:
        node.run(["nft", "delete", "table", family, "chaos"])


def _loss(isp: Node) -> AbstractContextManager[None]:
    return _table(
        isp, "inet", "type filter hook forward priority -300; policy accept; numgen random mod 100 < 10 drop;"
    )


def _silence(isp: Node) -> AbstractContextManager[None]:
    """Nothing that the ingress sends arrives; the carrier stays."""
    return _table(isp, "netdev", 'type filter hook ingress device "port" priority 0; policy drop;')


@contextlib.contextmanager
def _unplugged(world: ChaosWorld, node: str, *bridges: str) -> Iterator[None]:
    """A node's wires to these bridges lead nowhere; it has its carrier still."""
    number = list(world.nodes).index(node)
    ports = {f"{bridge}{number}": bridge for bridge in bridges}
    world.nodes["switch"].ip(*(f"link set {port} nomaster" for port in ports))
    try:
        yield
    finally:
        world.nodes["switch"].ip(*(f"link set {port} master {bridge}" for port, bridge in ports.items()))


@contextlib.contextmanager
def _restart(world: ChaosWorld, node: str, service: str) -> Iterator[None]:
    world.services[node].dinitctl("restart", service, check=False)
    yield


@contextlib.contextmanager
def _kill(world: ChaosWorld, node: str, service: str) -> Iterator[None]:
    pid = world.services[node].pid(service)
    if pid is not None:  # it may just be between two lives
        world.nodes[node].run(["kill", f"-{signal.SIGKILL}", str(pid)], check=False)
    yield


@contextlib.contextmanager
def _clock(world: ChaosWorld, seconds: int) -> Iterator[None]:
    """Wrong until it is mended, which is a jump too."""
    world.set_clock(seconds)
    try:
        yield
    finally:
        world.set_clock(0)


@contextlib.contextmanager
def _drained(world: ChaosWorld, uplink: str) -> Iterator[None]:
    firewall = world.nodes["firewall"]
    firewall.run(["routerctl", "uplink", uplink, "drain"], check=False)  # its agent may just restart
    try:
        yield
    finally:
        firewall.run(["routerctl", "uplink", uplink, "enable"], check=False)
