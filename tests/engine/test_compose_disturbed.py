"""The IPoE demo in a real engine, disturbed: what a crash, a restart, a stop cost."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.engine import measure
from tests.engine.engine import Engine
from tests.engine.project import Project
from tests.lab.wait import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

DAEMONS = [
    ("ingress-kpn", "dhcpcd"),
    ("ingress-kpn", "router-agent"),
    ("firewall", "kea-dhcp4"),
    ("firewall", "kea-dhcp6"),
    ("firewall", "radvd"),
    ("firewall", "mosquitto"),
    ("firewall", "router-agent"),
]
ROUTERS = ("ingress-kpn", "ingress-odido", "firewall")


@pytest.fixture(scope="module")
def demo(built: Engine) -> Iterator[Project]:
    """Both uplinks up. Which of them is used changes: one that failed must be well for a while before it is again."""
    with measure.project(built, "dual") as found:
        yield found


@pytest.mark.parametrize(("service", "daemon"), DAEMONS)
def test_killed_daemon_returns_and_leaves_its_neighbours_alone(demo: Project, service: str, daemon: str) -> None:
    assert measure.daemon_kill(demo, service, daemon) < 3.0
    wait_for(lambda: "all work" in demo.run(service, "routerctl", "status", check=False), 10, f"{service} to be right")
    wait_for(lambda: served(demo), 3, "the internet to answer the client")


def served(demo: Project) -> bool:
    """Whether the client is answered over both families."""
    return all(map(demo.answers, measure.FAMILIES.values()))


def test_restarted_ingress_costs_little(demo: Project) -> None:
    for family, gap in measure.restart_ingress(demo).items():
        assert gap < 1.5, f"IPv{family}: {gap} s"


@pytest.mark.parametrize("service", ROUTERS)
def test_stop_is_prompt_and_releases_nothing(demo: Project, service: str) -> None:
    start = time.monotonic()
    demo.compose("stop", service)
    seconds = time.monotonic() - start
    status = demo.inspect(service, "{{.State.ExitCode}}")
    demo.compose("up", "-d", "--wait", "--wait-timeout", "60")
    wait_for(lambda: served(demo), measure.READY_SECONDS, "the internet to answer the client")
    assert seconds < 10
    assert status == "0"
    assert "RELEASE" not in demo.compose("logs", "isp-kpn")
