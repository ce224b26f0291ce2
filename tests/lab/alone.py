"""An agent with nothing around it: no dinit, no broker, no firewall."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.lab.node import Node
from tests.lab.wait import wait_for


def start(node: Node) -> subprocess.Popen[Any]:
    """Start an agent in a node, without the stand-in's dinitctl on its PATH."""
    path = ":".join(part for part in node.environment["PATH"].split(":") if not part.endswith("tests/lab/bin"))
    return node.spawn(["router-agent", "run"], "agent", env={"PATH": path})


def ready(node: Node) -> None:
    """Until the first plan is applied."""
    wait_for(lambda: status(node).get("ready"), 10, lambda: f"the agent; its log: {node.log('agent')[-3000:]}")


def status(node: Node) -> dict[str, Any]:
    """What `routerctl status` knows; empty where no agent answers."""
    answer = node.run(["routerctl", "status", "--json"], check=False)
    return dict(json.loads(answer.stdout)) if answer.returncode == 0 else {}


def mapped(node: Node, prefix: str, timeout: float = 5.0) -> None:
    """Until the rules translate to this prefix."""
    network = prefix.split("/", maxsplit=1)[0]
    chain = ["nft", "list", "chain", "inet", "router", "npt_out"]
    wait_for(lambda: f"| {network}" in node.output(chain), timeout, prefix)
