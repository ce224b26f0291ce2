"""Packets against each form of a rule: services, protocols, addresses, lists, windows, rates, policies."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.desired.log import UlogdConfig
from agent.drivers.counters import read_counters
from agent.model import ListContent
from agent.render import render_file
from tests.lab.firewall_topology import NET4, NET6
from tests.lab.firewall_world import CONFIG, World, firewall_world
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab

# An hour before and after now, and the same a quarter of a day away: neither begins nor ends during the test.
HOURS = [time.strftime("%H:00", time.gmtime(time.time() + 3600 * shift)) for shift in (-1, 2, 5, 8)]
RULES = f"""
lists:
  blocked: {{ file: /none }}
  friends: {{ addresses: [198.51.100.1, "2001:db8:a::1", "2001:db8:b::1"] }}
rules:
  - {{ from: blocked, to: any, action: drop }}
  - {{ from: home, to: cam, service: [ssh, echo7], action: accept }}
  - {{ from: home, to: cam, icmp: ping, protocol: gre, action: accept }}
  - {{ from: home, to: 10.30.0.50, tcp: 81, limit: 2/h burst 2 per source, action: accept }}
  - {{ from: home, to: cam, tcp: 82, limit: 2/h burst 2, log: true, action: accept }}
  - {{ from: home, to: cam, tcp: 83, when: {{ from: "{HOURS[0]}", to: "{HOURS[1]}" }}, action: accept }}
  - {{ from: home, to: cam, tcp: 84, when: {{ from: "{HOURS[2]}", to: "{HOURS[3]}" }}, action: accept }}
  - {{ from: friends, to: firewall, service: dns, action: accept }}
  - {{ from: home, to: internet, action: accept }}
policies:
  - {{ from: iot, to: home, action: reject, log: "no way" }}
  - {{ from: iot, to: internet, action: accept }}
  - {{ from: home, to: firewall, action: reject }}
"""


def configuration() -> str:
    """The world's networks with the rules of this module."""
    networks = CONFIG.partition("rules:")[0].replace("hosts:", "hosts:\n  cam: { network: iot, ipv4: 10.30.0.50 }")
    return networks + RULES.replace("[ssh, echo7]", "ssh, tcp: 7")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with firewall_world(Path(tmp_path_factory.mktemp("rules")), configuration()) as world:
        for port in (22, 23, 81, 82, 83, 84):
            world.serve("cam", port)
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.lists.clear()
    shared.utc_offset = 0
    for name in ("kpn", "odido"):
        shared.carrier(name, up=True)


def test_a_service_is_its_ports_and_no_others(world: World) -> None:
    assert world.ask("host", "10.30.0.50", 22) == world.ask("host", "10.30.0.50", 7) == "10.10.0.100"
    assert world.refused("host", "10.30.0.50", 23) == "TimeoutError"


def test_icmp_types_and_protocols(world: World) -> None:
    world.sh("host", "ping -qc1 -W2 10.30.0.50")
    before = world.accepted()["rule_3"]

    def send(protocol: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as raw:
            raw.sendto(struct.pack("!HH", 0, 0x0800) + bytes(20), ("10.30.0.50", 0))

    world.spaces["host"].call(lambda: send(47))
    assert world.accepted()["rule_3"] == before + 1
    world.spaces["host"].call(lambda: send(99))
    assert world.accepted()["rule_3"] == before + 1


def test_a_list_that_is_read_anew_changes_elements_alone(world: World) -> None:
    assert world.ask("host", NET4) == "192.0.2.2"
    plan = world.plan()
    world.lists["blocked"] = ListContent((ip_network("10.10.0.100"), ip_network("fd00:1:2:10::/64")))
    assert world.apply().nft.policy == plan.nft.policy  # type: ignore[attr-defined]
    assert world.refused("host", NET4, 7) == world.refused("host", NET6, 7) == "TimeoutError"
    assert world.ask("nas", NET4) == "192.0.2.2"
    assert world.accepted()["rule_1"] >= 2
    world.lists["blocked"] = ListContent((ip_network("fd00:1:2:10::/64"),), "it vanished", "put it back")
    found = world.apply().problems
    assert [(p.part, p.message, p.hint) for p in found] == [
        ("list/blocked", "it vanished; the last 1 addresses stay", "put it back")
    ]
    assert world.ask("host", NET4) == "192.0.2.2"
    assert world.refused("host", NET6, 7) == "TimeoutError"


def test_a_written_list_opens_the_router_to_its_addresses_alone(world: World) -> None:
    # Both of the firewall's addresses on the DMZ are reached through an ingress; odido's neighbour is a friend.
    world.sh("odido", "ip route add 203.0.113.99 dev lo 2>/dev/null || :")
    before = world.accepted()["rule_8"]

    def syn(source: str) -> None:
        world.sh("odido", f"ip addr add {source}/32 dev lo")
        try:
            assert world.spaces["odido"].call(lambda: knock(source))
        except OSError:
            pass
        finally:
            world.sh("odido", f"ip addr del {source}/32 dev lo")

    def knock(source: str) -> bool:
        with socket.create_connection(("10.99.0.1", 53), timeout=0.4, source_address=(source, 0)):
            return True

    syn("203.0.113.99")
    assert world.accepted()["rule_8"] == before
    syn("198.51.100.1")
    assert world.accepted()["rule_8"] == before + 1


def test_a_rate_per_source_counts_each_by_itself(world: World) -> None:
    for _ in range(2):
        assert world.ask("host", "10.30.0.50", 81) == "10.10.0.100"
    assert world.refused("host", "10.30.0.50", 81) == "TimeoutError"
    assert world.ask("nas", "10.30.0.50", 81) == "10.10.0.5"


def test_a_rate_counts_all_together(world: World) -> None:
    assert world.ask("host", "10.30.0.50", 82) == "10.10.0.100"
    assert world.ask("nas", "10.30.0.50", 82) == "10.10.0.5"
    assert world.refused("nas", "10.30.0.50", 82) == "TimeoutError"
    assert world.accepted()["rule_5"] == 2


def test_a_window_is_local_time(world: World) -> None:
    assert world.ask("host", "10.30.0.50", 83) == "10.10.0.100"
    assert world.refused("host", "10.30.0.50", 84) == "TimeoutError"
    world.utc_offset = 6 * 3600  # six hours further east, the second window is now
    world.apply()
    assert world.ask("host", "10.30.0.50", 84) == "10.10.0.100"
    assert world.refused("host", "10.30.0.50", 83) == "TimeoutError"


def test_a_policy_says_what_happens_to_the_rest(world: World) -> None:
    assert world.refused("cam", "10.10.0.5", 443) in {"No route to host", "Connection refused"}
    assert world.refused("host", "10.10.0.1", 53) in {"No route to host", "Connection refused"}
    assert world.ask("cam", NET4) == "198.51.100.2"
    counted = world.accepted()
    assert counted["policy_1"] >= 1
    assert counted["policy_2"] >= 1


def test_the_router_s_own_packets_take_the_choice_of_the_transit_network(world: World) -> None:
    assert world.ask("fw", NET4) == "192.0.2.2"
    assert world.ask("fw", NET6) == "2001:db8:a100:99::1"
    world.carrier("kpn", up=False)
    assert world.ask("fw", NET4) == "198.51.100.2"
    assert world.ask("fw", NET6) == "2001:db8:b100:99::1"


def test_ulogd_says_zones_rule_and_addresses(world: World, tmp_path: Path) -> None:
    path = tmp_path / "ulogd.conf"
    path.write_text(render_file(UlogdConfig()).text)
    with ExitStack() as stack:
        command = ["/usr/sbin/ulogd", "-c", str(path)]
        ulogd = world.spaces["fw"].call(lambda: subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(ulogd.wait, 10)
        stack.callback(ulogd.terminate)
        assert ulogd.stdout is not None
        listening = Path("/proc/thread-self/net/netfilter/nfnetlink_log")
        wait_for(lambda: world.spaces["fw"].call(listening.read_text), 20, lambda: "ulogd does not listen")
        assert world.refused("cam", "10.10.0.5", 444)
        line = ulogd.stdout.readline()
    assert "iot>home policy_1 reject no way:" in line
    assert "IN=iot OUT=home" in line
    assert "SRC=10.30.0.50 DST=10.10.0.5" in line
    assert "DPT=444" in line


def test_the_counters_of_all_rules_are_read(world: World) -> None:
    world.ask("host", "10.30.0.50", 22)
    counts = world.spaces["fw"].run(read_counters)
    rules = {name: packets for name, packets in world.accepted().items() if "_" in name}
    assert {name: count.packets for name, count in counts.items()} == rules
    assert rules["rule_2"] >= 1


@pytest.mark.parametrize(("target", "source"), [("2001:db8:a100:10::1", "a"), ("2001:db8:b100:10::1", "b")])
def test_the_router_answers_through_the_uplink_it_was_asked_by(world: World, target: str, source: str) -> None:
    def serve() -> socket.socket:
        server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        server.settimeout(10)
        server.bind(("fd00:1:2:10::1", 53))
        return server

    def ask() -> socket.socket:
        client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        client.settimeout(10)
        client.connect((target, 53))
        client.send(b"?")
        return client

    with world.spaces["fw"].call(serve) as server, world.spaces["net"].call(ask) as client:
        _, peer = server.recvfrom(10)
        assert peer[0] == f"2001:db8:{source}::1"
        server.sendto(b"!", peer)
        assert client.recv(10) == b"!"
