"""How long a laptop is cut off by what no event tells of, with and without the broker; and that loss is no failure."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

from agent.desired.probe import Rounds
from tests.bench.report import Figure, figure
from tests.bench.uplinks import outage, renumbered, renumbering, returned
from tests.lab.faults import blackhole, frozen_broker, vanished
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.train import Train
from tests.lab.uplinks_world import SEEN, UplinksWorld
from tests.simulation import DAY, LOSS, simulated

RUNS = 30
BROKER_RUNS = 6  # of each of five events
SEEDS = (1, 2, 3)

Fault = Callable[[UplinksWorld], AbstractContextManager[None]]


def _blackhole(world: UplinksWorld) -> AbstractContextManager[None]:
    return blackhole(world.nodes["kpn-isp"])


def _killed(world: UplinksWorld) -> AbstractContextManager[None]:
    return vanished(world, "kpn")


@contextlib.contextmanager
def _link_loss(world: UplinksWorld) -> Iterator[None]:
    world.down("kpn")
    try:
        yield
    finally:
        world.up("kpn")


def silent_blackhole() -> Figure:
    """Milliseconds that both families are cut off by a blackhole beyond the ISP's first hop, defaults."""
    with _world() as world:
        return figure("blackhole", "ms", [_outage(world, _blackhole) for _ in range(RUNS)])


def ingress_killed() -> Figure:
    """Milliseconds that both families are cut off when an ingress is gone: its wires lead nowhere."""
    with _world() as world:
        return figure("ingress-killed", "ms", [_outage(world, _killed) for _ in range(RUNS)])


def broker_down() -> Figure:
    """Milliseconds that each event lasts longer with a dead broker than its median with a living one, all events."""
    excess = []
    with _world() as world:
        renumbering(world)
        for event in (_outage_of(_link_loss), _outage_of(_killed), _outage_of(_blackhole), _renumbered, _returned):
            usual = statistics.median(event(world, None) for _ in range(BROKER_RUNS))
            excess += [event(world, frozen_broker) - usual for _ in range(BROKER_RUNS)]
    return figure("broker-down", "ms", excess)


def _outage_of(fault: Fault) -> Callable[[UplinksWorld, Fault | None], float]:
    return lambda world, also: _outage(world, fault, also)


def _renumbered(world: UplinksWorld, also: Fault | None) -> float:
    lasted = outage(renumbered(world, 0, also))
    renumbered(world, 1)
    world.settled()
    return lasted


def _returned(world: UplinksWorld, also: Fault | None) -> float:
    lasted = outage(returned(world, also))
    world.settled()
    return lasted


def false_alarms() -> Figure:
    """Verdicts other than up in simulated days of 5 % loss each way, with one target and with three."""
    alarms = []
    for targets in (1, 3):
        for seed in SEEDS:
            verdicts = simulated(Rounds(), targets, DAY, LOSS, seed)
            alarms.append(float(sum(one.up is False or one.degraded for one in verdicts)))
    return figure("false-alarms", "failovers", alarms)


@contextlib.contextmanager
def _world() -> Iterator[UplinksWorld]:
    with UplinksWorld() as world:
        world.settled()
        yield world


def _outage(world: UplinksWorld, fault: Fault, also: Fault | None = None) -> float:
    """The longest gap of a 1 ms train in either family, in milliseconds; all is mended and settled afterwards."""
    laptop = world.nodes["laptop"]
    with ExitStack() as faults:
        with Train(laptop, INTERNET4) as four, Train(laptop, INTERNET6) as six:
            for train in (four, six):
                train.wait_flowing()
            if also is not None:
                faults.enter_context(also(world))
            faults.enter_context(fault(world))
            for train, family in ((four, 4), (six, 6)):
                wanted = SEEN["odido"][family]
                train.wait_source(lambda source, wanted=wanted: source.startswith(wanted), 20)  # type: ignore[misc]
                train.wait_flowing()
        gaps = [gap.seconds for train in (four, six) for gap in train.result.gaps]
    world.settled()
    return max(gaps) * 1000
