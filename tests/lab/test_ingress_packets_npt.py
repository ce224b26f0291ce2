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
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.packet import Packet, Raw

from agent.desired.ingress import IngressTable
from agent.model import Memory, PrefixMapping
from agent.plan.npt import inside, outside
from tests.lab.packets import TRANSPORTS, checksums_hold, is_like
from tests.lab.smallnet import FAR6, HOST6, NAS6, SmallNet, smallnet

pytestmark = pytest.mark.lab

EXTERNAL = "2001:db8:a100::/48"
HOST_OUT, NAS_OUT = "2001:db8:a100:10::100", "2001:db8:a100:20::5"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNet]:
    with smallnet(tmp_path_factory.mktemp("npt")) as built:
        yield built


def from_port(port: int) -> Callable[[Packet], bool]:
    return lambda packet: UDP in packet and packet[UDP].sport == port


@pytest.mark.rfc("6296", "mapping")
@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda layer: type(layer).__name__)
def test_both_ways_with_good_checksums(net: SmallNet, transport: Packet) -> None:
    net.apply(EXTERNAL)
    host, isp = net.wires(("host", "eth0"), ("net", "isp"))
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
    dmz, isp = net.wires(("fw", "dmz"), ("net", "isp"))
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
    dmz, isp = net.wires(("fw", "dmz"), ("net", "isp"))
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
    host, nas = net.wires(("host", "eth0"), ("nas", "eth0"))
    sent = IPv6(src=HOST6, dst=NAS_OUT) / TRANSPORTS[0]
    # The firewall has no host rules here: it must send the external address to the ingress.
    host.send(sent, net.wire("fw", "home").mac)
    got = nas.expect(lambda p: is_like(p, sent))
    assert (got[IPv6].src, got[IPv6].dst) == (HOST_OUT, NAS6)
    assert checksums_hold(got)


def test_a_delegation_shorter_than_the_plan_maps_by_its_first_part(net: SmallNet) -> None:
    plan = net.apply("2001:db8:a100::/44")
    host, isp = net.wires(("host", "eth0"), ("net", "isp"))
    sent = IPv6(src=HOST6, dst=FAR6) / TRANSPORTS[0]
    host.send(sent, net.wire("fw", "home").mac)
    assert isp.expect(lambda p: is_like(p, sent))[IPv6].src == HOST_OUT
    assert "uplink/prefix/44" in {one.topic for one in plan.facts}


def test_two_networks_in_a_56_keep_their_ids(net: SmallNet) -> None:
    plan = net.apply("2001:db8:a100:ab00::/56", memory=Memory(npt={"guest": 0xEE}))
    assert dict(plan.memory.npt) == {"home": 0x10, "guest": 0xEE}
    for node, source, expected in (("host", HOST6, "2001:db8:a100:ab10::100"), ("nas", NAS6, "2001:db8:a100:abee::5")):
        wire, isp = net.wires((node, "eth0"), ("net", "isp"))
        sent = IPv6(src=source, dst=FAR6) / TRANSPORTS[0]
        wire.send(sent, net.wire("fw", "home" if node == "host" else "guest").mac)
        got = isp.expect(partial(is_like, sent=sent))
        assert got[IPv6].src == expected
        assert checksums_hold(got)


def test_a_mapped_host_answers_from_outside(net: SmallNet) -> None:
    net.apply(EXTERNAL)
    nas = net.wire("nas", "eth0")
    assert "1 received" in net.spaces["net"].sh(f"ping -6 -c1 -W3 -I {FAR6} {NAS_OUT}")
    assert nas.expect(lambda p: ICMPv6EchoRequest in p)[IPv6].dst == NAS6
