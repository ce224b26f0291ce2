"""Which plan a node follows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from agent.config import ConfigError, Finding, Settings
from agent.desired import Plan
from agent.model import State

FIREWALL = "firewall"


def planner_for(settings: Settings, node: str) -> Callable[[State, float], Plan]:
    """The pure function that plans for this node. Raises ConfigError for a node that the configuration lacks."""
    # Imported late: a container needs the modules of its own role only.
    if node == FIREWALL:
        from agent.plan.firewall import plan_firewall  # noqa: PLC0415

        return partial(plan_firewall, settings)
    if node in settings.uplinks:
        from agent.plan.ingress import plan_ingress  # noqa: PLC0415

        return partial(plan_ingress, settings, node)
    if node in settings.docker_hosts:
        from agent.plan.docker_host import plan_docker_host  # noqa: PLC0415

        return partial(plan_docker_host, settings, node)
    known = ", ".join(settings.nodes)
    raise node_error(f"{node!r} is no node of this configuration", f"use one of: {known}")


def node_error(message: str, mend: str) -> ConfigError:
    """What is wrong with ROUTER_NODE or `--node`."""
    return ConfigError([Finding("environment", 0, 0, "ROUTER_NODE", message, mend)])
