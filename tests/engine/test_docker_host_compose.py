"""compose/docker-host.yaml in a real engine: the agent reads it, without a capability, and writes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine import base
from tests.engine.engine import Engine
from tests.engine.images import ROOT
from tests.lab.wait import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

PROJECT = ("compose", "-p", "docker-host", "-f")


@pytest.fixture(scope="module")
def agent(built: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the agent in it, by the documentation; the engine's socket may be elsewhere than usual."""
    directory = tmp_path_factory.mktemp("vm")
    socket = built.environment.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    text = (ROOT / "compose" / "docker-host.yaml").read_text()
    (directory / "docker-host.yaml").write_text(text.replace("- /var/run/docker.sock:", f"- {socket}:"))
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "exposure.md").read_text(), re.DOTALL)
    (directory / "router.yaml").write_text(next(block for block in blocks if "site:" in block))
    (directory / "secrets" / "tls").mkdir(parents=True)
    (directory / "secrets" / "bus_password_vm1").write_text("secret\n")
    (directory / "secrets" / "tls" / "bus_ca.pem").write_text("")
    engine = Engine({**built.environment, "ROUTER_NODE": "vm1", "FILE": f"{directory}/docker-host.yaml"}, built.private)
    try:
        compose(engine, "up", "-d")
        yield engine
    finally:
        compose(engine, "down", "-t", "5", check=False)


def compose(engine: Engine, *argv: str, check: bool = True) -> str:
    return engine.docker(*PROJECT, engine.environment["FILE"], *argv, check=check)


def inside(engine: Engine, *argv: str, check: bool = True) -> str:
    return compose(engine, "exec", "-T", "agent", *argv, check=check)


def told(engine: Engine) -> dict[str, dict[str, Any]]:
    """What it tells of containers, by name."""
    text = inside(engine, "routerctl", "status", "--json", check=False)
    facts = json.loads(text)["facts"] if text else {}
    return {c["name"]: c for c in facts.get("containers", {}).get("containers", [])}


def test_it_sees_its_engine(agent: Engine) -> None:
    wait_for(lambda: "docker-host-agent-1" in told(agent), 60, lambda: compose(agent, "logs"))
    label = ("--label", "router.expose=443/tcp nonsense")
    agent.docker("run", "-d", "--name", "labelled", *label, base.IMAGE, "sleep", "600")
    try:
        wait_for(lambda: told(agent).get("labelled"), 30, lambda: compose(agent, "logs"))
        assert told(agent)["labelled"]["ports"] == [["tcp", 443, 443]]
        assert "WRONG labelled: router.expose: 'nonsense' is no port" in inside(agent, "routerctl", "exposures")
    finally:
        agent.docker("rm", "-f", "labelled")
    wait_for(lambda: "labelled" not in told(agent), 30, lambda: compose(agent, "logs"))


def test_it_has_no_capability_and_a_root_that_is_read_only(agent: Engine) -> None:
    status = inside(agent, "cat", "/proc/1/status")
    assert {line.split()[1] for line in status.splitlines() if line.startswith("Cap")} == {"0000000000000000"}
    written = inside(agent, "sh", "-c", "touch /etc/x /usr/x /opt/x 2>&1 || true")
    assert written.count("Read-only file system") == 3
