"""RFC 6092, 4890 and kin on the firewall, with packets: a host in `home`, the ingress kpn, and the wire between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.ipsec import AH, ESP
from scapy.packet import Packet, Raw

from tests.lab.firewall_topology import NET6
from tests.lab.firewall_world import CONFIG, World, firewall_world
from tests.lab.packets import Wire

pytestmark = pytest.mark.lab
HOST6, NAS6, NEXT_HOP = "fd00:1:2:10::100", "fd00:1:2:10::5", "2001:db8:a::1"
NOBODY6, FAR6 = "fd00:1:2:10::77", "2001:db8:f::77"
TCP_PORT = 7
TUNNELLED = AH(nh=41, payloadlen=4, spi=7, seq=1, icv=b"x" * 12) / IPv6(src="fd99::1", dst="fd99::2", nh=59)
SEEN = 7777


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with firewall_world(Path(tmp_path_factory.mktemp("conform"))) as world:
        world.ask("host", NET6)  # neighbours know each other
        yield world


class Edge:
    """The wires inside and outside of the firewall, and its own addresses on them."""

    def __init__(self, world: World) -> None:
        self.inside = world.spaces["host"].call(lambda: Wire("eth0"))
        self.outside = world.spaces["kpn"].call(lambda: Wire("dmz"))
        self.home, self.dmz = (world.sh("fw", f"cat /sys/class/net/{name}/address").strip() for name in ("home", "dmz"))

    def leaves(self, packet: Packet) -> list[Packet]:
        """What of a packet from inside comes to the ingress, before one that passes for certain."""
        self.inside.send(packet, self.home)
        self.inside.send(IPv6(src=HOST6, dst=NET6) / UDP(sport=1, dport=SEEN), self.home)
        return self._before(self.outside)

    def enters(self, packet: Packet) -> list[Packet]:
        """What of a packet from the ingress comes to the host, before one that passes for certain."""
        self.inside.send(IPv6(src=HOST6, dst=NET6) / UDP(sport=SEEN, dport=SEEN + 1), self.home)
        self.outside.expect(lambda p: UDP in p and p[UDP].dport == SEEN + 1)
        self.outside.send(packet, self.dmz)
        self.outside.send(IPv6(src=NET6, dst=HOST6) / UDP(sport=SEEN + 1, dport=SEEN), self.dmz)
        return self._before(self.inside)

    @staticmethod
    def _before(wire: Wire) -> list[Packet]:
        wire.passed.clear()
        wire.expect(lambda p: UDP in p and p[UDP].dport == SEEN)
        return wire.passed

    def close(self) -> None:
        self.inside.close()
        self.outside.close()


@pytest.fixture
def edge(world: World) -> Iterator[Edge]:
    edge = Edge(world)
    yield edge
    edge.close()


def is_for(port: int) -> Callable[[Packet], bool]:
    return lambda packet: UDP in packet and packet[UDP].dport == port


@pytest.mark.rfc("6092", "REC-1")
def test_a_multicast_source_is_not_forwarded(edge: Edge) -> None:
    assert not list(filter(is_for(99), edge.leaves(IPv6(src="ff0e::1", dst=NET6) / UDP(dport=99))))
    assert not list(filter(is_for(99), edge.enters(IPv6(src="ff0e::1", dst=HOST6) / UDP(dport=99))))


@pytest.mark.rfc("6092", "REC-2")
@pytest.mark.parametrize("group", ["ff02::99", "ff05::99", "ff08::99", "ff0e::99"])
def test_multicast_stays_on_its_side(edge: Edge, group: str) -> None:
    assert not list(filter(is_for(99), edge.leaves(IPv6(src=HOST6, dst=group) / UDP(dport=99))))
    assert not list(filter(is_for(99), edge.enters(IPv6(src=NET6, dst=group) / UDP(dport=99))))


@pytest.mark.rfc("6092", "REC-3")
@pytest.mark.parametrize("source", ["::1", "::ffff:192.0.2.1", "100::1", "2001:10::1", "fec0::1", "::192.0.2.1"])
def test_a_forbidden_source_does_not_enter(edge: Edge, source: str) -> None:
    assert not list(filter(is_for(99), edge.enters(IPv6(src=source, dst=NAS6) / UDP(dport=99))))


@pytest.mark.rfc("6092", "REC-7")
@pytest.mark.parametrize("source", ["fd00:1:2:30::5", "fd99::1"])
def test_a_unique_local_source_does_not_enter(edge: Edge, source: str) -> None:
    assert not [p for p in edge.enters(IPv6(src=source, dst=NAS6) / TCP(sport=5, dport=443)) if TCP in p]


@pytest.mark.rfc("6092", "REC-10")
def test_an_error_of_no_flow_does_not_enter(edge: Edge) -> None:
    never = IPv6(src=HOST6, dst=NET6) / UDP(sport=5555, dport=6666)
    for error in (ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1280)):
        assert not [p for p in edge.enters(IPv6(src=NEXT_HOP, dst=HOST6) / error / never) if type(error) in p]


@pytest.mark.rfc("4890", "4.3.1")
@pytest.mark.rfc("6092", "REC-18")
@pytest.mark.parametrize(
    "error",
    [ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1280), ICMPv6TimeExceeded(), ICMPv6ParamProblem()],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_udp_flow_enters(edge: Edge, error: Packet) -> None:
    flow = IPv6(src=HOST6, dst=NET6) / UDP(sport=5001, dport=6001) / Raw(b"x" * 8)
    edge.leaves(flow)
    assert [p for p in edge.enters(IPv6(src=NEXT_HOP, dst=HOST6) / error / flow) if type(error) in p]


@pytest.mark.rfc("6092", "REC-19")
def test_an_error_does_not_end_a_udp_flow(edge: Edge) -> None:
    flow = IPv6(src=HOST6, dst=NET6) / UDP(sport=5002, dport=6002) / Raw(b"x" * 8)
    edge.leaves(flow)
    edge.enters(IPv6(src=NEXT_HOP, dst=HOST6) / ICMPv6DestUnreach(code=4) / flow)
    answer = IPv6(src=NET6, dst=HOST6) / UDP(sport=6002, dport=5002)
    assert list(filter(is_for(5002), edge.enters(answer)))


@pytest.mark.rfc("6092", "REC-36")
@pytest.mark.rfc("6092", "REC-37")
def test_an_error_of_a_tcp_flow_enters_and_does_not_end_it(world: World, edge: Edge) -> None:
    connection = world.connect("host", NET6, TCP_PORT)
    assert connection.recv(100)
    port = connection.getsockname()[1]
    inner = IPv6(src=HOST6, dst=NET6) / TCP(sport=port, dport=TCP_PORT, seq=1)
    for error in (ICMPv6PacketTooBig(mtu=1400), ICMPv6DestUnreach(code=0)):
        assert [p for p in edge.enters(IPv6(src=NEXT_HOP, dst=HOST6) / error / inner) if type(error) in p]
    connection.sendall(b"still here")
    assert connection.recv(100) == b"still here"


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(TUNNELLED, marks=pytest.mark.rfc("6092", "REC-21"), id="AH"),
        pytest.param(ESP(spi=7, seq=1, data=b"x" * 32), marks=pytest.mark.rfc("6092", "REC-22"), id="ESP"),
        pytest.param(UDP(sport=500, dport=500), marks=pytest.mark.rfc("6092", "REC-24"), id="IKE"),
        pytest.param(UDP(sport=4500, dport=4500), marks=pytest.mark.rfc("6092", "REC-24"), id="ESP in UDP"),
    ],
)
def test_ipsec_leaves(edge: Edge, packet: Packet) -> None:
    left = [p for p in edge.leaves(IPv6(src=HOST6, dst=NET6) / packet) if type(packet) in p]
    assert [p[IPv6].dst for p in left] == [NET6]


@pytest.mark.rfc("4890", "4.3.3")
@pytest.mark.parametrize(
    "message",
    [ICMPv6ND_NS(tgt=NET6), ICMPv6ND_RA(), ICMPv6MLReport(mladdr="ff05::9")],
    ids=lambda message: type(message).__name__,
)
def test_what_belongs_to_a_link_stays_there(edge: Edge, message: Packet) -> None:
    packet = IPv6(src=HOST6, dst=NET6, hlim=255) / message
    assert not [p for p in edge.leaves(packet) if IPv6 in p and p[IPv6].dst == NET6 and p[IPv6].src == HOST6]


@pytest.mark.rfc("4890", "4.3.1 echo")
def test_an_echo_is_answered_when_it_was_asked_from_inside(world: World, edge: Edge) -> None:
    assert "1 received" in world.sh("host", f"ping -c1 -W3 {NET6}")
    assert not [p for p in edge.enters(IPv6(src=NET6, dst=HOST6) / ICMPv6EchoRequest(id=5)) if ICMPv6EchoRequest in p]


@pytest.mark.rfc("6092", "REC-31")
def test_both_sides_may_open_a_connection_at_once(world: World, edge: Edge) -> None:
    # Nobody's addresses: a host's own TCP would answer the packets that are made here.
    world.sh("fw", f"ip neigh replace {NOBODY6} lladdr {edge.inside.mac} dev home nud permanent")
    sequence = (
        (True, TCP(sport=5100, dport=6100, flags="S", seq=100)),
        (False, TCP(sport=6100, dport=5100, flags="S", seq=500)),
        (True, TCP(sport=5100, dport=6100, flags="SA", seq=100, ack=501)),
        (False, TCP(sport=6100, dport=5100, flags="SA", seq=500, ack=101)),
        (True, TCP(sport=5100, dport=6100, flags="A", seq=101, ack=501)),
        (False, TCP(sport=6100, dport=5100, flags="PA", seq=501, ack=101) / Raw(b"hello")),
    )
    for outward, segment in sequence:
        ends = (NOBODY6, FAR6) if outward else (FAR6, NOBODY6)
        passed = (edge.leaves if outward else edge.enters)(IPv6(src=ends[0], dst=ends[1]) / segment)
        assert [p for p in passed if TCP in p and p[TCP].dport == segment.dport], segment.summary()


@pytest.mark.rfc("6092", "REC-49")
def test_a_rule_makes_the_router_transparent(tmp_path: Path) -> None:
    everything = "rules:\n  - { from: internet, to: any, action: accept }\n"
    with firewall_world(tmp_path, CONFIG.replace("rules:\n", everything)) as world:
        edge = Edge(world)
        world.ask("host", NET6)
        unasked = IPv6(src=NET6, dst=HOST6) / TCP(sport=1, dport=99)
        assert [p for p in edge.enters(unasked) if TCP in p and p[TCP].dport == 99]
        edge.close()


TIMEOUTS = {
    "generic_timeout": 120,
    "udp_timeout": 120,
    "udp_timeout_stream": 120,
    "icmpv6_timeout": 60,
    "tcp_timeout_established": 2 * 3600 + 4 * 60,
    "tcp_timeout_syn_sent": 240,
    "tcp_timeout_syn_recv": 240,
    "tcp_timeout_fin_wait": 240,
    "tcp_timeout_close_wait": 240,
    "tcp_timeout_last_ack": 240,
    "tcp_timeout_time_wait": 240,
}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("generic_timeout",), marks=pytest.mark.rfc("6092", "REC-12")),
        pytest.param(("udp_timeout", "udp_timeout_stream"), marks=pytest.mark.rfc("6092", "REC-14")),
        pytest.param(tuple(n for n in TIMEOUTS if n.startswith("tcp")), marks=pytest.mark.rfc("6092", "REC-35")),
    ],
)
def test_state_lives_long_enough(world: World, names: tuple[str, ...]) -> None:
    held = {name: int(world.sh("fw", f"cat /proc/sys/net/netfilter/nf_conntrack_{name}")) for name in names}
    assert {name: seconds for name, seconds in held.items() if seconds < TIMEOUTS[name]} == {}
