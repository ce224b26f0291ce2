"""Runs a story of faults: `python -m tests.chaos SEED MINUTES`. Fails at the first thing that does not hold.

After each step: no internal source was seen on an uplink; hosts of both networks reach the outside, over both families,
while one uplink is healthy, and never by one that carries nothing; connections on an uplink that no fault has touched
are alive, and it is known to be well.
"""

from __future__ import annotations

import json
import random
import sys
import time
from contextlib import ExitStack

from tests.chaos.faults import UPLINKS, Fault, choose
from tests.lab.capture import Capture, Packet
from tests.lab.uplinks_world import SEEN, Talk, UplinksWorld
from tests.lab.wait import wait_for

# Seconds until a host must be out again, generous: the machine is slow, the benchmarks measure.
BOUND = 30.0
HOSTS = {"laptop": "kpn", "phone": "odido"}
AT_ONCE = 2


class Story:
    """The world, what is broken in it, and the connections that must live."""

    def __init__(self, world: UplinksWorld, stack: ExitStack) -> None:
        self.world = world
        self.broken: list[tuple[Fault, ExitStack]] = []
        self.talks: dict[tuple[str, int], Talk] = {}
        self.captures = [
            stack.enter_context(Capture(world.nodes[f"{uplink}-isp"], "line", _internal)) for uplink in UPLINKS
        ]
        self._stack = stack

    @property
    def dead(self) -> set[str]:
        """Uplinks that carry nothing now."""
        return {uplink for fault, _ in self.broken for uplink in fault.dead}

    def step(self, generator: random.Random) -> str:
        """Mend something or break something; what it was."""
        if self.broken and (len(self.broken) >= AT_ONCE or generator.random() < 0.5):
            fault, mending = self.broken.pop(generator.randrange(len(self.broken)))
            mending.close()
            return f"mended: {fault.name}"
        fault = choose(generator)
        if any(fault.name == other.name for other, _ in self.broken):
            return "nothing new"
        self._drop({uplink for uplink in UPLINKS if uplink in fault.touched})
        mending = ExitStack()
        mending.enter_context(fault.inject(self.world))
        self.broken.append((fault, mending))
        return fault.name

    def _drop(self, touched: set[str]) -> None:
        """Connections that may end from now on are no longer watched."""
        for place in [place for place in self.talks if place[0] in touched]:
            self.talks.pop(place).__exit__(None, None, None)

    def check(self) -> None:
        """What must hold. AssertionError where it does not."""
        leaked = [str(packet) for capture in self.captures for packet in capture.packets]
        assert not leaked, f"internal sources on an uplink: {leaked[:5]}"
        if len(self.dead) < len(UPLINKS):
            for host in HOSTS:
                for family in (4, 6):
                    self._out(host, family)
        for talk in self.talks.values():
            talk.works(BOUND)
        wrong = {uplink for fault, _ in self.broken for uplink in fault.touched}
        for uplink in UPLINKS:
            if uplink not in wrong:
                wait_for(lambda u=uplink: self._well(u), BOUND, f"{uplink} to be well", interval=0.1)  # type: ignore[misc]
        if len(self.dead) < len(UPLINKS):
            self._watch(wrong)

    def _well(self, uplink: str) -> bool:
        """Whether the firewall knows that an uplink carries packets, from answers that came."""
        answer = self.world.nodes["firewall"].run(["routerctl", "uplinks", "--json"], check=False)
        if answer.returncode != 0:
            return False  # its agent has just restarted
        fares = json.loads(answer.stdout)["uplinks"][uplink]
        return all(fares[f]["well"] and fares[f]["loss"] is not None and fares[f]["loss"] < 1 for f in ("ipv4", "ipv6"))

    def _out(self, host: str, family: int) -> None:
        alive = tuple(SEEN[uplink][family] for uplink in UPLINKS if uplink not in self.dead)
        wait_for(
            lambda: self.world.seen(host, family).startswith(alive), BOUND, f"{host} to be out by {alive}", interval=0.1
        )

    def _watch(self, wrong: set[str]) -> None:
        """A connection of each family on each uplink that nothing is wrong with, to be alive from now on."""
        for host in HOSTS:
            for family in (4, 6):
                if len([place for place in self.talks if place[1] == family]) == len(UPLINKS):
                    continue
                talk = Talk(self.world.nodes[host], self.world.nodes["internet"], family)
                uplink = next(name for name in UPLINKS if talk.source.startswith(SEEN[name][family]))
                if uplink in wrong or (uplink, family) in self.talks:
                    talk.__exit__(None, None, None)
                else:
                    self.talks[uplink, family] = talk

    def end(self) -> None:
        """Mend all and close all."""
        for _, mending in self.broken:
            mending.close()
        self.broken.clear()
        self._drop(set(UPLINKS))


def _internal(packet: Packet) -> bool:
    """A packet from the ingress with an internal source (not its own link's)."""
    return not packet.outgoing and packet.source.startswith(("10.", "fd"))


def main(words: list[str]) -> int:
    """Run; 0 when everything held."""
    seed, minutes = (int(words[0]), float(words[1])) if len(words) == 2 else (1, 2.0)
    generator = random.Random(seed)  # noqa: S311 - a story, no secret
    end = time.monotonic() + minutes * 60
    steps = 0
    with UplinksWorld() as world, ExitStack() as stack:
        story = Story(world, stack)
        stack.callback(story.end)
        story.check()
        while time.monotonic() < end:
            steps += 1
            what = story.step(generator)
            print(f"{steps}: {what}; dead: {', '.join(sorted(story.dead)) or 'none'}", flush=True)
            try:
                story.check()
            except AssertionError:
                told = [world.nodes[name].run(["routerctl", "status"], check=False).stdout for name in ("kpn", "odido")]
                print(f"seed {seed}, step {steps} does not hold\n{world.ctl('uplinks')}{''.join(told)}", flush=True)
                raise
        story.end()
        story.check()
    print(f"seed {seed}: {steps} steps, everything held")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
