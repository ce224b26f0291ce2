"""Runs a story of faults: `python -m tests.chaos SEED MINUTES`. Fails at the first thing that does not hold."""

from __future__ import annotations

import random
import sys
import time
from contextlib import ExitStack

from tests.chaos.story import NODES, Story
from tests.chaos.world import ChaosWorld

LINES = 40


def main(words: list[str]) -> int:
    """Run; 0 when everything held."""
    seed, minutes = (int(words[0]), float(words[1])) if len(words) == 2 else (1, 2.0)
    start = time.monotonic()
    steps = 0
    with ChaosWorld() as world, ExitStack() as stack:
        story = Story(world, stack, random.Random(seed))  # noqa: S311 - a story, no secret
        stack.callback(story.end)
        try:
            story.check()
            while time.monotonic() < start + minutes * 60:
                steps += 1
                what = story.step()
                dead = ", ".join(sorted(story.dead)) or "none"
                print(f"{time.monotonic() - start:5.0f} s  {steps}: {what}; dead: {dead}", flush=True)
                story.check()
            story.end()
            story.check()
        except AssertionError:
            told = [world.nodes[name].run(["routerctl", "status"], check=False).stdout for name in NODES]
            told.append(world.nodes["firewall"].run(["routerctl", "uplinks"], check=False).stdout)
            logs = [f"{name}: {line}\n" for name in NODES for line in _agent_log(world, name)]
            print(f"seed {seed}, step {steps} does not hold\n{''.join(told)}{''.join(logs)}", flush=True)
            raise
    print(f"seed {seed}: {steps} steps, everything held; hosts were out again after {story.slowest:.1f} s at most")
    return 0


def _agent_log(world: ChaosWorld, node: str) -> list[str]:
    """The end of what an agent said."""
    return [line for line in world.logs(node).splitlines() if line.startswith("[router-agent]")][-LINES:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
