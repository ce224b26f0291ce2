"""IPv6 of networks that have no prefix of their own outside: NAT66, its source, and what has neither."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6
from scapy.packet import Packet, Raw

from agent.plan.npt import OWN_SUFFIX
from tests.lab.packets import TRANSPORTS, checksums_hold, is_like
from tests.lab.smallnet import FAR6, HOST6, NAS6, WAN6, SmallNet, smallnet

pytestmark = pytest.mark.lab

ONE = "2001:db8:a100:7::/64"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNet]:
    with smallnet(tmp_path_factory.mktemp("nat66")) as built:
        yield built


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda layer: type(layer).__name__)
def test_a_64_maps_the_first_and_the_rest_overflows(net: SmallNet, transport: Packet) -> None:
    net.apply("2001:db8:a100:7::/64")
    host, nas, isp = net.wires(("host", "eth0"), ("nas", "eth0"), ("net", "isp"))
    mapped = IPv6(src=HOST6, dst=FAR6) / transport
    host.send(mapped, net.wire("fw", "home").mac)
    assert isp.expect(lambda p: is_like(p, mapped))[IPv6].src == "2001:db8:a100:7::100"
    over = IPv6(src=NAS6, dst=FAR6) / transport
    nas.send(over, net.wire("fw", "guest").mac)
    got = isp.expect(lambda p: type(transport) in p and p[IPv6].src == WAN6)
    assert checksums_hold(got)


def test_overflow_answers_come_back(net: SmallNet) -> None:
    net.apply("2001:db8:a100:7::/64")
    assert "1 received" in net.spaces["nas"].sh(f"ping -6 -c1 -W3 {FAR6}")
    assert "1 received" in net.spaces["host"].sh(f"ping -6 -c1 -W3 {FAR6}")


def test_hairpin_from_overflow_to_mapped(net: SmallNet) -> None:
    """The mapped host sees the uplink's address; its answer finds the way back."""
    net.apply("2001:db8:a100:7::/64")
    host = net.wire("host", "eth0")
    assert "1 received" in net.spaces["nas"].sh("ping -6 -c1 -W3 2001:db8:a100:7::100")
    assert host.expect(lambda p: ICMPv6EchoRequest in p)[IPv6].src == WAN6


def test_without_an_address_the_uplink_takes_one_of_the_delegation(net: SmallNet) -> None:
    net.spaces["ingress"].sh(f"ip addr del {WAN6}/64 dev wan; ip -6 route add 2001:db8:a::1 dev wan")
    net.spaces["ingress"].sh("ip -6 route replace default via 2001:db8:a::1 dev wan")
    net.spaces["net"].sh("ip -6 neigh replace 2001:db8:a::2 lladdr " + net.wire("ingress", "wan").mac + " dev isp")
    try:
        plan = net.apply("2001:db8:a100:7::/64", wan6=None)
        own = str(IPv6Address(int(IPv6Address("2001:db8:a100:7::")) | OWN_SUFFIX))
        assert [str(address.ip) for address in plan.addresses] == [f"{own}/128"]
        isp = net.wire("net", "isp")
        assert "1 received" in net.spaces["nas"].sh(f"ping -6 -c1 -W3 {FAR6}")
        assert isp.expect(lambda p: ICMPv6EchoRequest in p)[IPv6].src == own
        assert "1 received" in net.spaces["ingress"].sh(f"ping -6 -c1 -W3 {FAR6}")  # its own probes
        assert isp.expect(lambda p: ICMPv6EchoRequest in p)[IPv6].src == own
        # A host that has the address which would be translated to it is not let through.
        host = net.wire("host", "eth0")
        taken = f"fd00:1:2:10:{OWN_SUFFIX >> 48:x}::1"
        host.send(IPv6(src=taken, dst=FAR6) / UDP(sport=1, dport=2), net.wire("fw", "home").mac)
        host.send(IPv6(src=HOST6, dst=FAR6) / UDP(sport=3, dport=4), net.wire("fw", "home").mac)
        assert isp.expect(lambda p: UDP in p)[UDP].sport == 3
    finally:
        net.spaces["ingress"].sh(f"ip addr add {WAN6}/64 dev wan")
        net.spaces["ingress"].sh("ip -6 route replace default via 2001:db8:a::1 dev wan")
        net.spaces["net"].sh("ip -6 neigh del 2001:db8:a::2 dev isp")


def test_nat66_only(net: SmallNet) -> None:
    net.apply()
    isp = net.wire("net", "isp")
    assert "1 received" in net.spaces["host"].sh(f"ping -6 -c1 -W3 {FAR6}")
    assert isp.expect(lambda p: ICMPv6EchoRequest in p)[IPv6].src == WAN6


@pytest.mark.rfc("7084", "L-14")
def test_no_mapping_no_packet_and_the_source_is_told(net: SmallNet) -> None:
    """RFC 7084 L-14: ICMPv6 destination unreachable, code 5."""
    net.apply(wan6=None)
    host, isp = net.wires(("host", "eth0"), ("net", "isp"))
    host.send(IPv6(src=HOST6, dst=FAR6) / UDP(sport=1, dport=2) / Raw(b"x"), net.wire("fw", "home").mac)
    error = host.expect(lambda p: ICMPv6DestUnreach in p)
    assert error[ICMPv6DestUnreach].code == 5
    assert not [p for p in isp.frames(0.1) if UDP in p]
