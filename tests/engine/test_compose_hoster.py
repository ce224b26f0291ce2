"""compose/hoster.yaml with its demo in a real engine: containers of VMs on Docker networks, and who reaches them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.engine import Engine
from tests.engine.project import Project
from tests.lab.wait import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

OUTSIDE6 = "2001:db8:f::7"
WEB, DB, APP = "2001:db8:77:1:21::80", "2001:db8:77:1:21::5", "2001:db8:77:1:31::7"


def page(demo: Project, source: str, address: str, port: int = 443) -> str:
    """Whom the page at an address says it saw; empty when there is no answer."""
    url = f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"
    text = demo.run(source, "curl", "-s", "--max-time", "2", url, check=False)
    return text.rpartition(" ")[2].strip()


@pytest.fixture(scope="module")
def demo(built: Engine) -> Iterator[Project]:
    project = Project(built, ("hoster.yaml", "hoster-demo.yaml"))
    project.down()
    try:
        project.compose("up", "-d", "--wait", timeout=180)
        wait_for(lambda: page(project, "outside", WEB) == OUTSIDE6, 60, lambda: status(project), interval=0.2)
        yield project
    finally:
        project.down()


def status(project: Project) -> str:
    said = [project.run(node, "routerctl", "status", check=False) for node in ("ingress-hetzner", "firewall")]
    return "\n".join(["web to be reached from outside", *said])


def test_outside_reaches_the_open_port_and_no_other(demo: Project) -> None:
    assert page(demo, "outside", WEB, 443) == OUTSIDE6
    assert not page(demo, "outside", WEB, 80)
    assert not page(demo, "outside", DB, 443)
    assert not page(demo, "outside", APP, 443)


def test_containers_go_out_as_themselves_and_reach_each_other(demo: Project) -> None:
    for name, address in (("web", WEB), ("db", DB), ("app", APP)):
        assert page(demo, name, OUTSIDE6, 80) == address
    assert page(demo, "web", APP) == WEB
    assert page(demo, "app", DB) == APP


def test_machines_use_ipv4_by_nat(demo: Project) -> None:
    wait_for(lambda: page(demo, "vm1", "203.0.113.7", 80) == "192.0.2.136", 30, "IPv4 by NAT", interval=0.2)


def strange_frames(demo: Project) -> str:
    """What the provider counted from other MAC addresses; the engine's own bridge sends some at first."""
    rules = demo.run("provider", "nft", "list", "table", "netdev", "hoster")
    return next(line.strip() for line in rules.splitlines() if "counter" in line)


def test_one_mac_address_leaves_the_server_whatever_restarts(demo: Project) -> None:
    before = strange_frames(demo)
    demo.run("ingress-hetzner", "dinitctl", "restart", "router-agent")
    for name in ("web", "vm1", "app"):
        assert page(demo, name, OUTSIDE6, 80)
    assert strange_frames(demo) == before
