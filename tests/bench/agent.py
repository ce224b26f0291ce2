"""What an agent costs while nothing happens, and how soon it is ready."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

from tests.bench.report import Figure, figure
from tests.bench.world import PREFIXES, World
from tests.lab.node import Node

IDLE_SECONDS = 60.0
RUNS = 30


def agent_idle() -> Figure:
    """Per cent of one core over a minute, in both roles, everything running."""
    with World(["kpn", "kpn-isp", "internet", "firewall", "laptop"]) as world:
        world.delegate(PREFIXES[0])
        agents = [world.agent(name) for name in ("kpn", "firewall")]
        threading.Event().wait(5.0)  # what a start brings with it is over
        before = [_cpu(agent) for agent in agents]
        start = time.monotonic()
        threading.Event().wait(IDLE_SECONDS)
        spent = time.monotonic() - start
        samples = [(_cpu(agent) - was) / spent * 100 for agent, was in zip(agents, before, strict=True)]
    return figure("agent-idle", "%", samples)


def _cpu(agent: Path) -> float:
    """Seconds of CPU that a process has used."""
    fields = (agent / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def agent_ready() -> Figure:
    """Seconds from the process's start to the first applied plan, in both roles."""
    samples = []
    with World(["kpn", "kpn-isp", "firewall"]) as world:
        for name in ("kpn", "firewall"):
            world.services[name].dinitctl("stop", "router-agent")
            samples += [_ready(world.nodes[name]) for _ in range(RUNS // 2)]
    return figure("agent-ready", "s", samples)


def _ready(node: Node) -> float:
    reader, writer = os.pipe()
    start = time.monotonic()
    process = node.popen(
        ["router-agent", "run"],
        pass_fds=(writer,),
        env={"ROUTER_READY_FD": str(writer)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        assert os.read(reader, 16) == b"ready\n", "the agent ended before it was ready"
        return time.monotonic() - start
    finally:
        os.close(reader)
        process.terminate()
        process.wait()
