"""Stateless 1:1 translation, with packets: both ways, hairpin, several networks, overflow to NAT66."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Address, IPv6Network

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.packet import Packet, Raw

from agent.desired.ingress import IngressTable
from agent.model import Memory, PrefixMapping
from agent.plan.npt import OWN_SUFFIX, inside, outside
from tests.lab.smallnet import FAR6, HOST6, NAS6, WAN6, SmallNet, Wire, checksums_hold, smallnet

pytestmark = pytest.mark.lab

EXTERNAL = "2001:db8:a100::/48"
HOST_OUT, NAS_OUT = "2001:db8:a100:10::100", "2001:db8:a100:20::5"
TRANSPORTS = [
    UDP(sport=4567, dport=7) / Raw(b"question"),
    TCP(sport=4568, dport=80, flags="S", seq=1),
    ICMPv6EchoRequest(id=77, seq=3, data=b"ping"),
]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNet]:
    with smallnet(tmp_path_factory.mktemp("npt")) as built:
        yield built


def wires(net: SmallNet, *places: tuple[str, str]) -> list[Wire]:
    return [net.wire(node, device) for node, device in places]


def from_port(port: int) -> Callable[[Packet], bool]:
    return lambda packet: UDP in packet and packet[UDP].sport == port


def is_like(packet: Packet, sent: Packet) -> bool:
    """The same kind of transport with the same ports or id."""
    mine = sent[IPv6].payload
    if type(mine) not in packet:
        return False
    theirs = packet[type(mine)]
    fields = ("sport", "dport") if isinstance(mine, UDP | TCP) else ("id", "seq")
    return all(getattr(mine, name) == getattr(theirs, name) for name in fields)


@pytest.mark.rfc("6296", "mapping")
@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda layer: type(layer).__name__)
def test_both_ways_with_good_checksums(net: SmallNet, transport: Packet) -> None:
    net.apply(EXTERNAL)
    host, isp = wires(net, ("host", "eth0"), ("net", "isp"))
    gateway = net.wire("fw", "home").mac
    sent = IPv6(src=HOST6, dst=FAR6) / transport
    host.send(sent, gateway)
    out = isp.expect(lambda p: is_like(p, sent))
    assert (out[IPv6].src, out[IPv6].dst) == (HOST_OUT, FAR6)
    assert checksums_hold(out)

    back = IPv6(src=FAR6, dst=HOST_OUT) / transport
    isp.send(back, net.wire("ingress", "wan").mac)
    into = host.expect(lambda p: is_like(p, back) and p[IPv6].src == FAR6)
    assert into[IPv6].dst == HOST6
    assert checksums_hold(into)
    assert "fd00:1:2" not in net.spaces["ingress"].sh("conntrack -L -f ipv6 2>/dev/null")  # stateless


@pytest.mark.rfc("6296", "mapping")
def test_random_addresses_map_as_the_plan_says(net: SmallNet) -> None:
    plan = net.apply(EXTERNAL)
    dmz, isp = wires(net, ("fw", "dmz"), ("net", "isp"))
    ingress = net.wire("ingress", "dmz").mac
    assert isinstance(plan.nft, IngressTable)
    mappings = plan.nft.mappings
    chosen = random.Random(6296)  # noqa: S311 - any will do, and the same ones again
    for number in range(50):
        host = IPv6Address(int(IPv6Network("fd00:1:2::/48")[0]) | chosen.getrandbits(80))
        dmz.send(IPv6(src=str(host), dst=FAR6) / UDP(sport=number + 1, dport=9) / Raw(b"x"), ingress)
        out = isp.expect(from_port(number + 1))
        assert IPv6Address(out[IPv6].src) == outside(mappings, host)
        assert inside(mappings, IPv6Address(out[IPv6].src)) == host
        assert checksums_hold(out)


@pytest.mark.parametrize(
    ("site", "external"), [(52, "2001:db8:a000::/52"), (56, "2001:db8:a1ff:ab00::/56"), (61, "2001:db8:a1ff:ab08::/61")]
)
def test_prefixes_of_odd_lengths(net: SmallNet, site: int, external: str) -> None:
    """Lengths that are no whole number of bytes, with an error that quotes (raw rewriting of bits)."""
    internal = IPv6Network((int(IPv6Network("fd00:1:2::/48")[0]), site))
    table = net.plan(EXTERNAL).nft
    assert isinstance(table, IngressTable)
    odd = replace(table, mappings=(PrefixMapping(internal, IPv6Network(external)),))
    net.load(odd)
    dmz, isp = wires(net, ("fw", "dmz"), ("net", "isp"))
    host = str(internal[0x7_1234_5678_9ABC_DEF1 % internal.num_addresses])
    expected = str(outside(odd.mappings, IPv6Address(host)))
    dmz.send(IPv6(src=host, dst=FAR6) / UDP(sport=5, dport=9), net.wire("ingress", "dmz").mac)
    out = isp.expect(lambda p: UDP in p and p[UDP].sport == 5)
    assert out[IPv6].src == expected
    assert checksums_hold(out)
    quoted = IPv6(src=expected, dst=FAR6) / UDP(sport=5, dport=9)
    isp.send(
        IPv6(src="2001:db8:f::99", dst=expected) / ICMPv6PacketTooBig(mtu=1300) / quoted, net.wire("ingress", "wan").mac
    )
    error = dmz.expect(lambda p: ICMPv6PacketTooBig in p)
    assert error[IPv6].dst == host
    assert error[ICMPv6PacketTooBig].payload.src == host
    assert checksums_hold(error)


def test_tcp_through_it(net: SmallNet) -> None:
    """Real stacks on both ends; the server sees the external address, and answers."""
    net.apply(EXTERNAL)
    server = net.spaces["net"].call(lambda: socket.create_server((FAR6, 8080), family=socket.AF_INET6))
    seen = []

    def serve() -> None:
        connection, peer = server.accept()
        seen.append(peer[0])
        connection.sendall(connection.recv(100).upper())
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with net.spaces["host"].call(lambda: socket.create_connection((FAR6, 8080), 5)) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
    thread.join(5)
    server.close()
    assert seen == [HOST_OUT]


@pytest.mark.rfc("6296", "hairpin")
def test_hairpin_translates_both(net: SmallNet) -> None:
    net.apply(EXTERNAL)
    host, nas = wires(net, ("host", "eth0"), ("nas", "eth0"))
    sent = IPv6(src=HOST6, dst=NAS_OUT) / TRANSPORTS[0]
    # The firewall has no host rules here: it must send the external address to the ingress.
    host.send(sent, net.wire("fw", "home").mac)
    got = nas.expect(lambda p: is_like(p, sent))
    assert (got[IPv6].src, got[IPv6].dst) == (HOST_OUT, NAS6)
    assert checksums_hold(got)


def test_a_delegation_shorter_than_the_plan_maps_by_its_first_part(net: SmallNet) -> None:
    plan = net.apply("2001:db8:a100::/44")
    host, isp = wires(net, ("host", "eth0"), ("net", "isp"))
    sent = IPv6(src=HOST6, dst=FAR6) / TRANSPORTS[0]
    host.send(sent, net.wire("fw", "home").mac)
    assert isp.expect(lambda p: is_like(p, sent))[IPv6].src == HOST_OUT
    assert plan.facts


def test_two_networks_in_a_56_keep_their_ids(net: SmallNet) -> None:
    plan = net.apply("2001:db8:a100:ab00::/56", memory=Memory(npt={"guest": 0xEE}))
    assert dict(plan.memory.npt) == {"home": 0x10, "guest": 0xEE}
    for node, source, expected in (("host", HOST6, "2001:db8:a100:ab10::100"), ("nas", NAS6, "2001:db8:a100:abee::5")):
        wire, isp = wires(net, (node, "eth0"), ("net", "isp"))
        sent = IPv6(src=source, dst=FAR6) / TRANSPORTS[0]
        wire.send(sent, net.wire("fw", "home" if node == "host" else "guest").mac)
        got = isp.expect(partial(is_like, sent=sent))
        assert got[IPv6].src == expected
        assert checksums_hold(got)


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda layer: type(layer).__name__)
def test_a_64_maps_the_first_and_the_rest_overflows(net: SmallNet, transport: Packet) -> None:
    net.apply("2001:db8:a100:7::/64")
    host, nas, isp = wires(net, ("host", "eth0"), ("nas", "eth0"), ("net", "isp"))
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


def test_no_mapping_no_packet_and_the_source_is_told(net: SmallNet) -> None:
    """RFC 7084 L-14: ICMPv6 destination unreachable, code 5."""
    net.apply(wan6=None)
    host, isp = wires(net, ("host", "eth0"), ("net", "isp"))
    host.send(IPv6(src=HOST6, dst=FAR6) / UDP(sport=1, dport=2) / Raw(b"x"), net.wire("fw", "home").mac)
    error = host.expect(lambda p: ICMPv6DestUnreach in p)
    assert error[ICMPv6DestUnreach].code == 5
    assert not [p for p in isp.frames(0.1) if UDP in p]


def test_echo_reply_is_not_an_error(net: SmallNet) -> None:
    net.apply(EXTERNAL)
    nas = net.wire("nas", "eth0")
    assert "1 received" in net.spaces["net"].sh(f"ping -6 -c1 -W3 -I {FAR6} {NAS_OUT}")
    assert nas.expect(lambda p: ICMPv6EchoRequest in p)[IPv6].dst == NAS6
    assert not [p for p in nas.frames(0) if ICMPv6EchoReply in p]
