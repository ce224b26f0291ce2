"""Packets that must not pass: false sources, unknown ingresses, forbidden headers; and errors that must."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6NIQueryName, IPv6, IPv6ExtHdrRouting
from scapy.packet import Packet

from tests.lab.firewall_topology import NET4, NET6
from tests.lab.firewall_world import World, firewall_world
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with firewall_world(Path(tmp_path_factory.mktemp("firewall"))) as world:
        yield world


def send_udp(world: World, name: str, source: str, target: str) -> None:
    """One datagram from an address that the namespace is given for it."""
    length = 128 if ":" in source else 32
    world.sh(name, f"ip addr add {source}/{length} dev lo")
    family = socket.AF_INET6 if ":" in source else socket.AF_INET

    def send() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            sender.sendto(b"x", (target, 7))

    world.spaces[name].call(send)
    # An address that stays would be the source of errors to come.
    world.sh(name, f"ip addr del {source}/{length} dev lo")


def send_raw(world: World, name: str, packet: Packet) -> None:
    """A packet as it is, to the firewall's side of the namespace's eth0."""
    world.sh(name, "ping -qc1 -W2 fd00:1:2:10::1")
    neighbour = world.sh(name, "ip -6 neigh show fd00:1:2:10::1 dev eth0").split()
    mac = neighbour[neighbour.index("lladdr") + 1]
    own = world.sh(name, "cat /sys/class/net/eth0/address").strip()
    frame = bytes.fromhex((mac + own).replace(":", "")) + b"\x86\xdd" + bytes(packet)

    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("eth0", 0))
            sender.send(frame)

    world.spaces[name].call(send)


@pytest.mark.parametrize(
    ("source", "target"),
    [("10.30.0.77", NET4), ("203.0.113.99", NET4), ("fd00:1:2:30::77", NET6), ("2001:db8:a100:10::77", NET6)],
)
@pytest.mark.rfc("6092", "REC-5")
@pytest.mark.rfc("7084", "S-2")
def test_a_network_sends_from_its_own_subnet_only(world: World, source: str, target: str) -> None:
    before, accepted = world.counter("spoof_home"), world.accepted()
    send_udp(world, "host", source, target)
    wait_for(lambda: world.counter("spoof_home") == before + 1, what="a drop")
    assert world.accepted() == accepted


@pytest.mark.parametrize(("source", "target"), [("10.10.0.77", "10.30.0.50"), ("fd00:1:2:10::77", "fd00:1:2:30::50")])
@pytest.mark.rfc("6092", "REC-6")
@pytest.mark.rfc("7084", "ULA-4")
def test_an_ingress_sends_nothing_from_inside(world: World, source: str, target: str) -> None:
    before = world.counter("spoof_internet")
    send_udp(world, "kpn", source, target)
    wait_for(lambda: world.counter("spoof_internet") == before + 1, what="a drop")


def test_who_is_no_ingress_brings_nothing_from_outside(world: World) -> None:
    world.sh("sw", "ip addr replace 10.99.0.50/24 dev dmz; ip addr replace 203.0.113.98/32 dev lo")
    world.sh("sw", "ip route replace 10.10.0.0/24 via 10.99.0.1 src 203.0.113.98")
    before, accepted = world.counter("fwd_internet_home"), world.accepted()
    assert world.refused("sw", "10.10.0.5", 443) == "TimeoutError"
    assert world.counter("fwd_internet_home") > before
    assert world.accepted() == accepted


@pytest.mark.rfc("6092", "REC-4")
def test_routing_header_0_is_dropped(world: World) -> None:
    before = world.counter("raw_spoof")
    header = IPv6(src="fd00:1:2:10::100", dst=NET6)
    send_raw(world, "host", header / IPv6ExtHdrRouting(type=0, addresses=["fd00:1:2:10::5"]) / UDP(dport=7))
    wait_for(lambda: world.counter("raw_spoof") == before + 1, what="a drop")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param("2001:10::1", ICMPv6EchoRequest(), marks=pytest.mark.rfc("6092", "REC-3")),
        pytest.param("fec0::1", ICMPv6EchoRequest(), marks=pytest.mark.rfc("6092", "REC-3")),
        pytest.param("fd99::1", ICMPv6EchoRequest(), marks=pytest.mark.rfc("6092", "REC-7")),
        pytest.param(NET6, ICMPv6NIQueryName(), marks=pytest.mark.rfc("4890", "4.3.5")),
    ],
)
def test_what_is_no_business_of_an_uplink_stays_inside(world: World, target: str, message: Packet) -> None:
    before = world.counter("fwd_home_internet")
    send_raw(world, "host", IPv6(src="fd00:1:2:10::100", dst=target) / message)
    wait_for(lambda: world.counter("fwd_home_internet") == before + 1, what="a drop")


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.rfc("6092", "REC-18")
def test_an_error_of_a_flow_passes(world: World, ipv6: bool) -> None:
    # The way out is narrower than the host knows: only the ingress's error can tell it.
    world.sh("kpn", "ip link set wan mtu 1300")
    family, level = (socket.AF_INET6, socket.IPPROTO_IPV6) if ipv6 else (socket.AF_INET, socket.IPPROTO_IP)
    discover = 23 if ipv6 else 10  # IPV6_MTU_DISCOVER, IP_MTU_DISCOVER
    sender = world.spaces["host"].call(lambda: socket.socket(family, socket.SOCK_DGRAM))
    with sender:
        sender.setsockopt(level, discover, 2)  # always: never a fragment
        sender.connect((NET6 if ipv6 else NET4, 9))

        def learned() -> bool:
            try:
                sender.send(bytes(1350))
            except OSError as error:
                return error.errno == errno.EMSGSIZE
            return False

        wait_for(learned, what="the path MTU")


@pytest.mark.parametrize("ipv6", [False, True])
def test_an_error_of_the_firewall_finds_its_way_out(world: World, ipv6: bool) -> None:
    # It has no default route but by the mark of the packet that the error is about (fwmark_reflect).
    def received() -> int:
        if ipv6:
            words = world.sh("net", "cat /proc/net/snmp6").split()
            return int(words[words.index("Icmp6InTimeExcds") + 1])
        lines = [line.split() for line in world.sh("net", "cat /proc/net/snmp").splitlines()]
        heads, values = (line for line in lines if line[0] == "Icmp:")
        return int(dict(zip(heads, values, strict=True))["InTimeExcds"])

    def send() -> socket.socket:
        """A connection whose first packet ends at the firewall, the second hop."""
        sender = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_STREAM)
        sender.setblocking(False)
        sender.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if ipv6 else (0, socket.IP_TTL)), 2)
        sender.connect_ex(("2001:db8:a100:10::5" if ipv6 else "192.0.2.2", 443))
        return sender

    before = received()
    with world.spaces["net"].call(send):
        wait_for(lambda: received() > before, what="time exceeded")
