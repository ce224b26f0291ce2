"""What hosts notice when an uplink is lost, returns, or is renumbered: 1 ms trains of both families."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from tests.bench.report import Figure, figure
from tests.lab.router import CONFIG
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.train import Result, Train
from tests.lab.uplinks_world import PREFIX, SEEN, UplinksWorld
from tests.lab.wait import wait_for

Also = Callable[[UplinksWorld], AbstractContextManager[None]]
RUNS = 30
NEXT_PREFIX = "2001:db8:a200::/48"
ADDRESSES4 = ("192.0.2.2/24", "192.0.2.3/24")


def outage(results: list[Result]) -> float:
    """Milliseconds of the longest gap."""
    return max((gap.seconds * 1000 for result in results for gap in result.gaps), default=0.0)


def _trains(world: UplinksWorld, stack: ExitStack) -> list[Train]:
    """A train of each family from the laptop, flowing."""
    trains = [stack.enter_context(Train(world.nodes["laptop"], address)) for address in (INTERNET4, INTERNET6)]
    for train in trains:
        train.wait_flowing()
    return trains


def back(world: UplinksWorld) -> None:
    """kpn again, without the hold-down that grows with each run."""
    world.up("kpn")

    def chosen() -> bool:
        world.ctl("uplink", "kpn", "enable")
        home = world.uplinks()["networks"]["home"]
        return all(home[family]["uplink"] == "kpn" for family in ("ipv4", "ipv6"))

    wait_for(chosen, 30.0, "kpn to be chosen again", interval=0.2)
    for family in (4, 6):
        world.goes_by("laptop", family, "kpn")


def link_loss() -> Figure:
    """Milliseconds without answers when the uplink in use loses its carrier, the worse family of each run."""
    samples = []
    with UplinksWorld(CONFIG.read_text()) as world:
        for _ in range(RUNS):
            back(world)
            with ExitStack() as stack:
                trains = _trains(world, stack)
                world.down("kpn")
                for train, family in zip(trains, (4, 6), strict=True):
                    train.wait_source(lambda seen, f=family: seen.startswith(SEEN["odido"][f]), 20)  # type: ignore[misc]
                    train.wait_flowing()
            samples.append(outage([train.result for train in trains]))
    return figure("link-loss", "ms", samples)


def failback() -> Figure:
    """Packets lost when the preferred uplink returns, both families together."""
    with UplinksWorld(CONFIG.read_text()) as world:
        found = [returned(world) for _ in range(RUNS)]
    return figure("failback", "packets", [float(sum(len(one.lost) for one in results)) for results in found])


def returned(world: UplinksWorld, also: Also | None = None) -> list[Result]:
    """What trains saw of the return of kpn; `also` begins before it and ends after it."""
    back(world)
    world.down("kpn")
    world.uses("home", "odido")
    with ExitStack() as stack:
        trains = _trains(world, stack)
        with also(world) if also is not None else contextlib.nullcontext():
            back(world)
            trains += _trains(world, stack)  # and what begins now
            for train in trains:
                train.wait_flowing()
    return [train.result for train in trains]


def renumber() -> Figure:
    """Milliseconds without answers when address and prefix of the uplink in use are replaced; the ISP has no gap."""
    with UplinksWorld(CONFIG.read_text()) as world:
        renumbering(world)
        return figure("renumber", "ms", [outage(renumbered(world, run)) for run in range(RUNS)])


def renumbering(world: UplinksWorld) -> None:
    """Make the ISP serve kpn's other prefix too, and kpn's kernel keep an address when the one before it goes."""
    world.nodes["kpn"].run(["sysctl", "-qw", "net.ipv4.conf.wan.promote_secondaries=1"])
    world.nodes["kpn-isp"].ip(f"route replace {NEXT_PREFIX} via 2001:db8:a::2")


def renumbered(world: UplinksWorld, run: int, also: Also | None = None) -> list[Result]:
    """What trains saw of another address and prefix of kpn: the others at an even run, the first at an odd one."""
    old4, new4 = ADDRESSES4[run % 2], ADDRESSES4[(run + 1) % 2]
    old6, new6 = (str(PREFIX), NEXT_PREFIX) if run % 2 == 0 else (NEXT_PREFIX, str(PREFIX))
    with ExitStack() as stack:
        train4, train6 = _trains(world, stack)
        with also(world) if also is not None else contextlib.nullcontext():
            world.nodes["kpn"].ip(
                f"addr add {new4} dev wan",
                f"route add unreachable {new6} proto dhcp",
                f"addr del {old4} dev wan",
                f"route del unreachable {old6} proto dhcp",
                "route replace default via 192.0.2.1 dev wan",
            )
            address, start = new4.partition("/")[0], new6.partition("::")[0]
            train4.wait_source(lambda seen: seen == address, 20)
            train6.wait_source(lambda seen: seen.startswith(start), 20)
            train4.wait_flowing()
            train6.wait_flowing()
    return [train4.result, train6.result]
