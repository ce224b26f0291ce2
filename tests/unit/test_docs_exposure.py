"""docs/exposure.md and compose/docker-host.yaml tell the truth."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from agent.config import check, load
from agent.docker_host import LEFT
from agent.drivers.bus import client
from agent.model import Engine, State
from agent.nodes import planner_for
from agent.place import bus_config
from agent.plan.docker_host import GRACE, MAX_CONTAINERS, VALID, parse_label
from agent.plan.exposure import MAX_OPEN, MAX_REQUESTS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "exposure.md").read_text()


def test_the_few_lines_for_a_vm_are_enough(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "router.yaml"
    path.write_text(next(block for block in blocks if "site:" in block))
    report = check(path, {})
    assert not report.errors, report.render_text(100)
    settings = load(path, {})
    assert bus_config(settings, "vm1").alone
    plan = planner_for(settings, "vm1")(State(synced=True, engine=Engine()), 0.0)
    assert [publication.topic for publication in plan.facts] == ["containers"]


def test_every_label_shown_is_understood() -> None:
    labels = re.findall(r"`router\.expose=([^`]+)`", TEXT)
    assert len(labels) >= 3
    for text in labels:
        spans, notes = parse_label(text)
        assert spans
        assert not notes


def test_the_figures_are_ours() -> None:
    assert f"stay open {GRACE:.0f} s" in TEXT
    assert f"stay open for {LEFT:.0f} s" in TEXT
    assert f"at most {VALID:.0f} s after" in TEXT
    assert f"is lost: {client.WILL_DELAY} s" in TEXT
    assert f"{MAX_CONTAINERS} containers, 64 KiB, {MAX_OPEN} open ports, {MAX_REQUESTS} requests" in TEXT


def test_the_agents_container_is_given_nothing() -> None:
    project = yaml.safe_load((ROOT / "compose" / "docker-host.yaml").read_text())
    (service,) = project["services"].values()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges" in service["security_opt"]
    assert not {"cap_add", "privileged", "devices", "ports", "pid"} & service.keys()
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert service["entrypoint"] == ["router-agent", "run"]
