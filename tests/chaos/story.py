"""A story of faults, and what must hold at every step of it.

- no internal source was ever seen on an uplink;
- while one uplink is healthy, hosts of both networks are out, over both families, by an uplink that is not dead;
- nothing is sent to an uplink that has been dead for longer than `BOUND`, while there is another;
- a connection on an uplink that no fault has touched is alive;
- an uplink that no fault touches is known to be well.
"""

from __future__ import annotations

import json
import random
import time
from contextlib import ExitStack

from tests.chaos.faults import UPLINKS, Choice, Fault
from tests.chaos.world import ChaosWorld
from tests.lab.capture import Capture, Packet
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.uplinks_world import SEEN, Talk
from tests.lab.wait import wait_for

# Seconds: generous, since two cores run it all and a CI's are shared. The benchmarks measure, on a quiet machine.
BOUND = 20.0
HOSTS = ("laptop", "phone")
FAMILIES = (4, 6)
AT_ONCE = 2
# A thing that runs while a container does, and whose restart is a fault; `boot` and the like are no process.
NODES = ("kpn", "odido", "firewall")


class Story:
    """The world, what is broken in it, and the connections that must live. Close it by `end`."""

    def __init__(self, world: ChaosWorld, stack: ExitStack, generator: random.Random) -> None:
        self.world = world
        self.broken: list[tuple[Fault, ExitStack]] = []
        self.talks: dict[tuple[str, int], Talk] = {}
        self.slowest = 0.0
        self._random = generator
        self._choice = Choice(generator, {node: processes(world, node) for node in NODES})
        self._leaks = [_capture(world, stack, f"{uplink}-isp", "line", _internal) for uplink in UPLINKS]
        self._sent = {uplink: _capture(world, stack, uplink, "dmz", _outbound) for uplink in UPLINKS}
        self._avoided: dict[str, float] = {}  # dead uplink → since when another one was there to take (CLOCK_MONOTONIC)

    @property
    def dead(self) -> frozenset[str]:
        """Uplinks that carry nothing now."""
        return frozenset(uplink for fault, _ in self.broken for uplink in fault.dead)

    @property
    def touched(self) -> frozenset[str]:
        """Uplinks that some fault of now touches."""
        return frozenset(uplink for fault, _ in self.broken for uplink in fault.touched)

    def step(self) -> str:
        """Mend something or break something; what it was."""
        if self.broken and (len(self.broken) >= AT_ONCE or self._random.random() < 0.5):
            fault, mending = self.broken.pop(self._random.randrange(len(self.broken)))
            mending.close()
            self._count()
            return f"mended: {fault.name}"
        fault = self._choice.next()
        if any(fault.name == other.name for other, _ in self.broken):
            return "nothing new"
        self._drop(fault.touched)
        mending = ExitStack()
        mending.enter_context(fault.inject(self.world))
        if fault.lasts:
            self.broken.append((fault, mending))
            self._count()
        else:
            mending.close()
        return fault.name

    def _count(self) -> None:
        """From when on nothing may be sent to which uplink."""
        now, dead = time.monotonic(), self.dead
        if dead == frozenset(UPLINKS):
            self._avoided.clear()
        self._avoided = {uplink: self._avoided.get(uplink, now) for uplink in dead if len(dead) < len(UPLINKS)}

    def _drop(self, touched: frozenset[str]) -> None:
        """Connections that may end from now on are no longer watched."""
        for place in [place for place in self.talks if place[0] in touched]:
            self.talks.pop(place).__exit__(None, None, None)

    def check(self) -> None:
        """What must hold. AssertionError where it does not."""
        started = time.monotonic()
        self._look()
        if self.dead != frozenset(UPLINKS):
            for host in HOSTS:
                for family in FAMILIES:
                    self._out(host, family)
            self.slowest = max(self.slowest, time.monotonic() - started)
        for talk in self.talks.values():
            talk.works(BOUND)
        for uplink in set(UPLINKS) - self.touched:
            wait_for(lambda u=uplink: self._well(u), BOUND, f"{uplink} to be known well", interval=0.1)  # type: ignore[misc]
        if self.dead != frozenset(UPLINKS):
            self._watch()
        self._look()

    def _look(self) -> None:
        """At what was captured all the time."""
        leaked = [str(packet) for capture in self._leaks for packet in capture.packets]
        assert not leaked, f"internal sources on an uplink: {leaked[:5]}"
        for uplink, since in self._avoided.items():
            late = [str(packet) for packet in self._sent[uplink].packets if packet.time > since + BOUND]
            assert not late, f"sent to {uplink}, which is dead: {late[:5]}"

    def _well(self, uplink: str) -> bool:
        """Whether the firewall knows that an uplink carries packets, from answers that came."""
        answer = self.world.nodes["firewall"].run(["routerctl", "uplinks", "--json"], check=False)
        if answer.returncode != 0:
            return False  # its agent has just restarted
        fares = [json.loads(answer.stdout)["uplinks"][uplink][family] for family in ("ipv4", "ipv6")]
        if self.broken:  # without the bus nobody tells how much is lost
            return all(one["well"] for one in fares)
        return all(one["well"] and one["loss"] is not None and one["loss"] < 1 for one in fares)

    def _out(self, host: str, family: int) -> None:
        alive = tuple(SEEN[uplink][family] for uplink in UPLINKS if uplink not in self.dead)
        wait_for(
            lambda: self.world.seen(host, family).startswith(alive), BOUND, f"{host} to be out by {alive}", interval=0.1
        )

    def _watch(self) -> None:
        """A connection of each family on each uplink that no fault touches, to be alive from now on."""
        for host in HOSTS:
            for family in FAMILIES:
                if len([place for place in self.talks if place[1] == family]) == len(UPLINKS):
                    continue
                talk = Talk(self.world.nodes[host], self.world.nodes["internet"], family)
                uplink = next(name for name in UPLINKS if talk.source.startswith(SEEN[name][family]))
                if uplink in self.touched or (uplink, family) in self.talks:
                    talk.__exit__(None, None, None)
                else:
                    self.talks[uplink, family] = talk

    def end(self) -> None:
        """Mend all and close all."""
        for _, mending in self.broken:
            mending.close()
        self.broken.clear()
        self._avoided.clear()
        self._drop(frozenset(UPLINKS))


def processes(world: ChaosWorld, node: str) -> tuple[str, ...]:
    """The services of a node that are processes, by name."""
    listed = sorted(path.name for path in world.nodes[node].path("/etc/dinit.d").iterdir())
    return tuple(name for name in listed if world.services[node].pid(name) is not None)


def _capture(world: ChaosWorld, stack: ExitStack, node: str, interface: str, wanted: object) -> Capture:
    return stack.enter_context(Capture(world.nodes[node], interface, wanted))  # type: ignore[arg-type]


def _internal(packet: Packet) -> bool:
    """A packet from the ingress with an internal source (not its own link's)."""
    return not packet.outgoing and packet.source.startswith(("10.", "fd"))


def _outbound(packet: Packet) -> bool:
    """A packet of a host to the outside, as it comes to an ingress."""
    return not packet.outgoing and packet.destination in {INTERNET4, INTERNET6}
