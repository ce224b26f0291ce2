"""Packets through the firewall's rules and routes: which uplink, which way back, what passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.firewall_topology import NET4, NET6
from tests.lab.firewall_world import World, firewall_world

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with firewall_world(Path(tmp_path_factory.mktemp("firewall"))) as world:
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    for name in ("kpn", "odido"):
        shared.carrier(name, up=True)


KPN4, KPN6 = "192.0.2.2", "2001:db8:a100:10::100"
ODIDO4, ODIDO6 = "198.51.100.2", "2001:db8:b100:10::100"


@pytest.mark.parametrize(
    ("client", "target", "seen"),
    [
        ("host", NET4, KPN4),
        ("host", NET6, KPN6),
        ("cam", NET4, ODIDO4),
        ("cam", NET6, "2001:db8:b100:30::50"),
    ],
)
def test_each_network_takes_its_own_choice(world: World, client: str, target: str, seen: str) -> None:
    assert world.ask(client, target) == seen


def test_a_link_down_moves_new_connections_and_its_return_brings_them_back(world: World) -> None:
    world.carrier("kpn", up=False)
    assert (world.ask("host", NET4), world.ask("host", NET6)) == (ODIDO4, ODIDO6)
    held = [world.connect("host", NET4), world.connect("host", NET6)]
    assert [c.recv(100).decode() for c in held] == [ODIDO4, ODIDO6]

    world.carrier("kpn", up=True)
    assert (world.ask("host", NET4), world.ask("host", NET6)) == (KPN4, KPN6)
    for connection in held:  # soft failback: these stay on the uplink that still carries them
        connection.sendall(b"still here")
        assert connection.recv(100) == b"still here"


def test_without_an_uplink_the_host_is_told_at_once(world: World) -> None:
    world.carrier("kpn", up=False)
    world.carrier("odido", up=False)
    assert world.told("host", NET4) == "Net Unreachable"
    assert world.told("host", NET6) == "unreachable: No route"


@pytest.mark.parametrize("target", ["192.0.2.2", "198.51.100.2", "2001:db8:a100:10::5", "2001:db8:b100:10::5"])
def test_a_connection_from_outside_is_answered_through_the_uplink_it_came_by(world: World, target: str) -> None:
    # The choice is kpn for both; through the wrong uplink the reply would have the wrong source. nas sees the client.
    assert world.ask("net", target, 443) in {"192.0.2.1", "198.51.100.1", "2001:db8:a::1", "2001:db8:b::1"}


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("192.0.2.2", "192.0.2.2"),
        ("198.51.100.2", "198.51.100.2"),
        ("2001:db8:a100:10::5", "2001:db8:a100:10::100"),
        ("2001:db8:b100:10::5", "2001:db8:b100:10::100"),
    ],
)
@pytest.mark.rfc("6296", "hairpin")
def test_a_host_reaches_another_by_either_external_address(world: World, target: str, seen: str) -> None:
    assert world.ask("host", target, 443) == seen


@pytest.mark.parametrize("target", ["2001:db8:a100:10::5", "2001:db8:b100:10::5"])
def test_a_closed_port_of_a_pinhole_host_is_silent(world: World, target: str) -> None:
    assert world.refused("net", target, 444) == "TimeoutError"


def test_lan_to_lan_follows_the_rules_and_needs_no_uplink(world: World) -> None:
    world.carrier("kpn", up=False)
    world.carrier("odido", up=False)
    assert world.ask("host", "10.30.0.50") == "10.10.0.100"
    assert world.ask("host", "fd00:1:2:30::50") == "fd00:1:2:10::100"
    assert world.refused("cam", "10.10.0.5", 443) == "TimeoutError"
    assert world.refused("cam", "fd00:1:2:10::5", 443) == "TimeoutError"
    assert world.refused("cam", "10.10.0.5", 8080) in {"No route to host", "Connection refused"}


def test_the_router_itself_answers_what_the_rules_open(world: World) -> None:
    assert world.ask("host", "10.10.0.1", 53) == "10.10.0.100"
    assert world.ask("host", "fd00:1:2:10::1", 53) == "fd00:1:2:10::100"
    assert world.refused("cam", "10.30.0.1", 53) == "TimeoutError"
    assert world.refused("host", "10.10.0.1", 1883) == "TimeoutError"
    world.sh("host", "ping -qc1 -W2 10.10.0.1; ping -qc1 -W2 fd00:1:2:10::1")


@pytest.mark.rfc("6092", "REC-8")
def test_no_service_of_the_router_is_reached_from_outside(world: World) -> None:
    assert world.refused("net", "2001:db8:a100:10::1", 53) == "TimeoutError"
    assert world.refused("net", "2001:db8:a100:10::1", 1883) == "TimeoutError"


def test_the_backstage_reaches_the_broker_and_nothing_else(world: World) -> None:
    assert world.ask("node", "10.98.0.1", 1883) == "10.98.0.2"
    assert world.refused("node", "10.98.0.1", 53) == "TimeoutError"


@pytest.mark.rfc("7084", "WPD-5")
@pytest.mark.parametrize("target", ["fd00:1:2:77::1", "fd00:1:2:7777::1"])
def test_an_unused_subnet_of_the_plan_is_unreachable(world: World, target: str) -> None:
    assert world.told("host", target) == "unreachable: No route"


def test_a_default_route_that_others_made_is_never_taken(world: World) -> None:
    # A container engine puts one into table main, by way of the backstage.
    world.sh("node", "ip addr replace fe80::98/64 dev eth0 nodad")
    world.sh("fw", "ip route add default via 10.98.0.2; ip -6 route add default via fe80::98 dev backstage")
    try:
        assert (world.ask("host", NET4), world.ask("host", NET6)) == (KPN4, KPN6)
        assert world.told("host", "fd00:1:2:77::1") == "unreachable: No route"
        world.carrier("kpn", up=False)
        world.carrier("odido", up=False)
        before = world.counter("filter_forward")
        assert world.refused("host", NET4, 7) == world.refused("host", NET6, 7) == "TimeoutError"
        assert world.counter("filter_forward") > before
    finally:
        world.sh("fw", "ip route del default; ip -6 route del default")
