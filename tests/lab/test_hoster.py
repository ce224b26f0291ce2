"""compose/router-hoster.yaml as it is, on a real kernel: what is reached, what is not, and by whom it is tried."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.capture import Capture
from tests.lab.hoster_world import OUTSIDE4, OUTSIDE6, PERMITTED, HosterWorld, address
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def world() -> Iterator[HosterWorld]:
    with HosterWorld() as world:
        yield world


def test_a_container_is_reached_on_its_port_and_on_no_other(world: HosterWorld) -> None:
    assert world.reaches("outside", address("web"), 443) == OUTSIDE6
    for port in (22, 80):
        assert world.reaches("outside", address("web"), port, timeout=0.5) is None
    assert world.reaches("outside", address("db"), 443, timeout=0.5) is None
    assert world.reaches("outside", address("vm1"), 443, timeout=0.5) is None


def test_containers_go_out_as_themselves_and_the_lan_by_nat(world: HosterWorld) -> None:
    for name in ("web", "db", "app", "vm1"):
        assert world.reaches(name, OUTSIDE6) == address(name)
    assert world.reaches("vm2", OUTSIDE4) == "192.0.2.136"


def test_containers_of_different_vms_reach_each_other_through_the_router(world: HosterWorld) -> None:
    router = world.nodes["firewall"].output(["cat", "/sys/class/net/vms/address"]).strip()
    with Capture(world.nodes["vm2"], "eth0", lambda p: p.protocol == "tcp" and not p.outgoing) as capture:
        assert world.reaches("web", address("app"), 80) == address("web")
        assert world.reaches("app", address("db"), 22) == address("app")
    assert {packet.source_mac for packet in capture.packets} == {router}


def test_the_one_mac_is_the_uplinks_whatever_restarts(world: HosterWorld) -> None:
    with Capture(world.nodes["provider"], "line", lambda p: not p.outgoing) as capture:
        world.services["hetzner"].dinitctl("restart", "router-agent")
        world.nodes["hetzner"].ip("link set wan0 down", "link set wan0 up")
        wait_for(lambda: world.reaches("web", OUTSIDE6), 30, "the uplink to carry again")
    assert {packet.source_mac for packet in capture.packets} == {PERMITTED}
