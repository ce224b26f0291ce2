"""IPv4 through an ingress: NAT, port forwards with ranges and other ports, hairpin; MSS clamp of both families."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, UDPerror
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from agent.desired.ingress import IngressTable
from tests.lab.packets import checksums_hold
from tests.lab.smallnet import FAR4, FAR6, HOST4, HOST6, NAS4, WAN4, SmallNet, smallnet

pytestmark = pytest.mark.lab

EXTERNAL = "2001:db8:a100::/48"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNet]:
    with smallnet(tmp_path_factory.mktemp("nat44")) as made:
        yield made


@pytest.fixture
def net(built: SmallNet) -> SmallNet:
    built.apply(EXTERNAL)
    return built


def mac(net: SmallNet, node: str, device: str) -> str:
    return net.wire(node, device).mac


def ask(net: SmallNet, node: str, address: str, port: int) -> str:
    """Connect over TCP and read the one line that the server says: the peer it sees."""
    with net.spaces[node].call(lambda: socket.create_connection((address, port), 3)) as client:
        return client.makefile().readline().strip()


class Server:
    """A TCP server that tells its clients what address it sees, until the end of the `with`."""

    def __init__(self, net: SmallNet, node: str, address: str, port: int) -> None:
        self._socket = net.spaces[node].call(lambda: socket.create_server((address, port)))
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            try:
                connection, peer = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.sendall(f"{peer[0]}\n".encode())

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.mark.rfc("4787", "REQ-2")
def test_outbound_has_the_uplinks_address(net: SmallNet) -> None:
    with Server(net, "net", FAR4, 8080):
        assert ask(net, "host", FAR4, 8080) == WAN4
    for node in ("host", "nas", "ingress"):
        assert "1 received" in net.spaces[node].sh(f"ping -4 -c1 -W3 {FAR4}")


@pytest.mark.parametrize(("port", "inner"), [(443, 443), (8000, 9000), (8003, 9003)])
def test_a_forward_reaches_the_host_and_keeps_the_source(net: SmallNet, port: int, inner: int) -> None:
    with Server(net, "nas", NAS4, inner):
        assert ask(net, "net", WAN4, port) == "192.0.2.1"


@pytest.mark.parametrize("port", [27000, 27023, 27050])
def test_a_range_keeps_its_ports(net: SmallNet, port: int) -> None:
    nas, isp = net.wire("nas", "eth0"), net.wire("net", "isp")
    isp.send(IP(src=FAR4, dst=WAN4) / UDP(sport=5, dport=port) / Raw(b"x"), mac(net, "ingress", "wan"))
    got = nas.expect(lambda p: UDP in p)
    assert (got[IP].src, got[IP].dst, got[UDP].dport) == (FAR4, NAS4, port)
    assert checksums_hold(got)


@pytest.mark.parametrize(
    ("protocol", "port"), [("udp", 26999), ("udp", 27051), ("udp", 443), ("tcp", 8004), ("tcp", 9000)]
)
def test_beside_the_forwards_nothing_is_open(net: SmallNet, protocol: str, port: int) -> None:
    nas, isp = net.wire("nas", "eth0"), net.wire("net", "isp")
    transport = UDP(sport=5, dport=port) if protocol == "udp" else TCP(sport=5, dport=port, flags="S")
    to = mac(net, "ingress", "wan")
    isp.send(IP(src=FAR4, dst=WAN4) / transport, to)
    isp.send(IP(src=FAR4, dst=WAN4) / UDP(sport=6, dport=27000), to)  # this one comes, after the other
    assert [p[UDP].sport for p in [nas.expect(lambda p: UDP in p or TCP in p)]] == [6]
    answers = [p for p in isp.frames(0.05) if IP in p and p[IP].dst == FAR4]
    assert [p.summary() for p in answers if not (UDPerror in p and p[UDPerror].dport == 27000)] == []


def test_a_forward_for_some_is_closed_to_others(net: SmallNet) -> None:
    nas, isp, to = net.wire("nas", "eth0"), net.wire("net", "isp"), mac(net, "ingress", "wan")
    for source in (FAR4, "198.51.100.9"):
        isp.send(IP(src=source, dst=WAN4) / TCP(sport=5, dport=8022, flags="S"), to)
    got = nas.expect(lambda p: TCP in p)
    assert (got[IP].src, got[IP].dst, got[TCP].dport) == ("198.51.100.9", NAS4, 22)
    for source in ("203.0.113.8", FAR4):
        isp.send(IP(src=source, dst=WAN4) / UDP(sport=5, dport=505), to)
    got = nas.expect(lambda p: UDP in p)
    assert (got[IP].src, got[UDP].dport) == (FAR4, 505)
    with Server(net, "nas", NAS4, 22):
        assert ask(net, "nas", WAN4, 8022) == WAN4  # the hairpin of a network that may
        with pytest.raises(OSError, match=r"No route to host|Permission denied|Connection refused"):
            ask(net, "host", WAN4, 8022)


@pytest.mark.rfc("4787", "REQ-9")
@pytest.mark.rfc("5382", "REQ-8")
def test_hairpin_of_a_forward(net: SmallNet) -> None:
    """The server sees the uplink's address: never an internal one, or the firewall takes it for spoofed."""
    with Server(net, "nas", NAS4, 443):
        assert ask(net, "host", WAN4, 443) == WAN4
        assert ask(net, "nas", WAN4, 443) == WAN4  # its own forward
    with Server(net, "nas", NAS4, 9001):
        assert ask(net, "host", WAN4, 8001) == WAN4


def test_a_closed_port_tried_from_inside_is_answered(net: SmallNet) -> None:
    with pytest.raises(OSError, match=r"No route to host|Permission denied|Connection refused"):
        ask(net, "host", WAN4, 444)


@pytest.mark.rfc("5508", "REQ-4")
def test_an_error_about_a_forwarded_flow_shows_no_internal_address(net: SmallNet) -> None:
    net.spaces["fw"].sh("ip link set guest mtu 1300")
    try:
        isp = net.wire("net", "isp")
        big = IP(src=FAR4, dst=WAN4, flags="DF") / UDP(sport=5, dport=27001) / Raw(b"x" * 1400)
        isp.send(big, mac(net, "ingress", "wan"))
        got = isp.expect(lambda p: ICMP in p and p[ICMP].type == 3)
        assert got[IP].src == WAN4
        assert got[ICMP].payload.dst == WAN4
        assert bytes([10, 20, 0, 5]) not in bytes(got)
        assert bytes([10, 99, 0, 1]) not in bytes(got)
        assert checksums_hold(got)
    finally:
        net.spaces["fw"].sh("ip link set guest mtu 1500")


def mss_of(packet: Packet) -> int:
    return int(dict(option for option in packet[TCP].options if option[0] == "MSS")["MSS"])


@pytest.mark.rfc("4638", "MSS")
@pytest.mark.parametrize("family", [4, 6])
def test_mss_is_clamped_both_ways(net: SmallNet, family: int) -> None:
    net.spaces["ingress"].sh("ip link set wan mtu 1400")
    host, isp = net.wire("host", "eth0"), net.wire("net", "isp")
    far = FAR4 if family == 4 else FAR6
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    server = net.spaces["net"].call(lambda: socket.create_server((far, 80), family=kind))
    try:
        syn = TCP(sport=6000, dport=80, flags="S", seq=1, options=[("MSS", 1460)])
        host.send((IP(src=HOST4, dst=far) if family == 4 else IPv6(src=HOST6, dst=far)) / syn, mac(net, "fw", "home"))
        got = isp.expect(lambda p: TCP in p and p[TCP].flags == "S")
        assert mss_of(got) == (1360 if family == 4 else 1340)
        assert checksums_hold(got)
        back = host.expect(lambda p: TCP in p and p[TCP].flags == "SA")
        assert mss_of(back) == (1360 if family == 4 else 1340)
    finally:
        server.close()
        net.spaces["ingress"].sh("ip link set wan mtu 1500")


def test_without_an_address_nothing_leaves_and_hosts_are_told(net: SmallNet) -> None:
    plan = net.plan(EXTERNAL)
    assert isinstance(plan.nft, IngressTable)
    net.load(replace(plan.nft, own4=(), nat44=None))
    host, isp = net.wire("host", "eth0"), net.wire("net", "isp")
    host.send(IP(src=HOST4, dst=FAR4) / UDP(sport=1, dport=2) / Raw(b"x"), mac(net, "fw", "home"))
    error = host.expect(lambda p: ICMP in p)
    assert (error[ICMP].type, error[ICMP].code) == (3, 0)
    assert not [p for p in isp.frames(0.05) if UDP in p]
