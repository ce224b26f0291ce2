"""What an ingress does not do: answer on the uplink, let an internal address out or a spoofed one in.

Also while its rules are being replaced.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptRouteInfo,
    IPv6,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from tests.lab.packets import Wire
from tests.lab.smallnet import FAR4, FAR6, HOST4, HOST6, NAS6, WAN4, WAN6, SmallNet, smallnet
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab

EXTERNAL = "2001:db8:a100::/48"
HOST_OUT = "2001:db8:a100:10::100"
PORTS = (22, 53, 67, 68, 80, 123, 444, 546, 547, 1883, 5353, 8883)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNet]:
    with smallnet(tmp_path_factory.mktemp("closed")) as made:
        yield made


@pytest.fixture
def net(built: SmallNet) -> SmallNet:
    built.apply(EXTERNAL)
    return built


def mac(net: SmallNet, node: str, device: str) -> str:
    return net.wire(node, device).mac


def no_more(net: SmallNet, isp: Wire, host: Wire) -> list[Packet]:
    """What came to the host before a packet that is let through: it was sent last, so nothing else will come."""
    isp.send(IPv6(src=FAR6, dst=HOST_OUT) / UDP(sport=7, dport=7777), mac(net, "ingress", "wan"))
    host.expect(lambda p: UDP in p and p[UDP].dport == 7777)
    return [packet for packet in host.passed if UDP in packet]


@pytest.mark.rfc("6092", "REC-8")
@pytest.mark.rfc("6092", "REC-9")
@pytest.mark.rfc("6092", "REC-50")
def test_nothing_answers_on_the_uplink(net: SmallNet) -> None:
    """With servers listening on every address of the ingress: a scan gets no answer but neighbour discovery."""
    listeners = net.spaces["ingress"].call(
        lambda: [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) for port in (22, 1883)]
    )
    isp = net.wire("net", "isp")
    to = mac(net, "ingress", "wan")
    targets4, targets6 = [WAN4, "10.99.0.2"], [WAN6, "fe80::" + wan_suffix(net), "2001:db8:a100:99::2"]
    for port in PORTS:
        for target in targets4:
            isp.send(IP(src=FAR4, dst=target) / TCP(sport=999, dport=port, flags="S"), to)
            isp.send(IP(src=FAR4, dst=target) / UDP(sport=999, dport=port), to)
        for target in targets6:
            source = "fe80::f" if target.startswith("fe80") else FAR6
            isp.send(IPv6(src=source, dst=target) / TCP(sport=999, dport=port, flags="S"), to)
            isp.send(IPv6(src=source, dst=target) / UDP(sport=999, dport=port), to)
    isp.send(IP(src=FAR4, dst=WAN4) / ICMP(), to)
    isp.send(IPv6(src=FAR6, dst=WAN6) / ICMPv6EchoRequest(), to)
    isp.send(IPv6(src="2001:db8:a::1", dst=WAN6, hlim=255) / ICMPv6ND_NS(tgt=WAN6), to)
    isp.expect(lambda p: ICMPv6ND_NA in p and p[ICMPv6ND_NA].tgt == WAN6)
    # To the one who asks: a host that has just come up tells groups about itself (MLD, router solicitation).
    told = [p for p in (*isp.passed, *isp.frames(0.1)) if not p.dst.startswith("33:33")]
    answers = [p.summary() for p in told if IP in p or (IPv6 in p and ICMPv6ND_NA not in p and ICMPv6ND_NS not in p)]
    for listener in listeners:
        listener.close()
    assert not answers


def wan_suffix(net: SmallNet) -> str:
    line = net.spaces["ingress"].sh("ip -6 -o addr show dev wan scope link")
    return line.split("inet6 fe80::")[1].split("/")[0]


def test_its_own_traffic_is_answered(net: SmallNet) -> None:
    assert "1 received" in net.spaces["ingress"].sh(f"ping -4 -c1 -W3 {FAR4}")
    assert "1 received" in net.spaces["ingress"].sh(f"ping -6 -c1 -W3 {FAR6}")


def test_arp_on_the_uplink_is_for_its_address_alone(net: SmallNet) -> None:
    isp = net.wire("net", "isp")
    for target in ("10.99.0.2", WAN4):
        frame = Ether(dst="ff:ff:ff:ff:ff:ff", src=isp.mac) / ARP(op=1, hwsrc=isp.mac, psrc="192.0.2.1", pdst=target)
        isp.raw(frame)
    assert isp.expect(lambda p: ARP in p and p[ARP].op == 2)[ARP].psrc == WAN4


@pytest.mark.rfc("6092", "REC-5")
@pytest.mark.parametrize(
    "packet",
    [
        IPv6(src=NAS6, dst=HOST_OUT) / UDP(dport=9),
        IPv6(src="fd77::1", dst=HOST_OUT) / UDP(dport=9),
        IPv6(src="2001:db8:a100:20::5", dst=HOST_OUT) / UDP(dport=9),
        IPv6(src=WAN6, dst=HOST_OUT) / UDP(dport=9),
        IPv6(src="fec0::1", dst=HOST_OUT) / UDP(dport=9),
        IPv6(src=FAR6, dst=HOST6) / UDP(dport=9),
        IPv6(src=FAR6, dst=HOST_OUT) / IPv6ExtHdrRouting(addresses=[HOST_OUT], type=0, segleft=1) / UDP(dport=9),
        IP(src=FAR4, dst=HOST4) / UDP(dport=9),
        IP(src=HOST4, dst="10.20.0.5") / UDP(dport=9),
        IP(src=HOST4, dst=WAN4) / UDP(dport=27000),
        IP(src=WAN4, dst=WAN4) / UDP(dport=27000),
    ],
    ids=lambda packet: packet.summary().split(" / ")[0] + f" {packet.src}>{packet.dst}",
)
def test_spoofed_from_outside(net: SmallNet, packet: Packet) -> None:
    host, nas, isp = net.wire("host", "eth0"), net.wire("nas", "eth0"), net.wire("net", "isp")
    isp.send(packet, mac(net, "ingress", "wan"))
    assert not no_more(net, isp, host)
    assert not [p for p in nas.frames(0) if UDP in p]


@pytest.mark.rfc("6092", "REC-6")
@pytest.mark.parametrize(
    "packet",
    [
        IPv6(src="2001:db8:77::1", dst=FAR6) / UDP(dport=9),
        IPv6(src="fd77::1", dst=FAR6) / UDP(dport=9),
        IPv6(src=HOST_OUT, dst=FAR6) / UDP(dport=9),
        IPv6(src=WAN6, dst=FAR6) / UDP(dport=9),
        IP(src="172.16.0.1", dst=FAR4) / UDP(dport=9),
        IP(src=WAN4, dst=FAR4) / UDP(dport=9),
        IPv6(src=HOST6, dst="fd77::1") / UDP(dport=9),
    ],
    ids=lambda packet: f"{packet.src}>{packet.dst}",
)
def test_spoofed_from_inside(net: SmallNet, packet: Packet) -> None:
    dmz, isp = net.wire("fw", "dmz"), net.wire("net", "isp")
    to = mac(net, "ingress", "dmz")
    dmz.send(packet, to)
    dmz.send(IPv6(src=HOST6, dst=FAR6) / UDP(dport=7777), to)
    assert isp.expect(lambda p: UDP in p)[UDP].dport == 7777


def test_an_internal_destination_is_not_sent_back(net: SmallNet) -> None:
    """The firewall routes between networks; what it sends here by mistake does not bounce."""
    dmz = net.wire("fw", "dmz")
    to = mac(net, "ingress", "dmz")
    dmz.send(IPv6(src=HOST6, dst=NAS6) / UDP(sport=1, dport=9), to)
    dmz.send(IP(src=HOST4, dst="10.20.0.5") / UDP(sport=2, dport=9), to)
    dmz.send(IPv6(src=HOST6, dst="2001:db8:a100:20::5") / UDP(sport=3, dport=9), to)
    assert dmz.expect(lambda p: UDP in p)[UDP].sport == 3


def test_any_source_may_answer_its_own_packets_on_the_dmz(net: SmallNet) -> None:
    """A tunnel's outer packets come from anywhere to the DMZ address; unasked ones get nowhere."""
    ingress, dmz = net.spaces["ingress"], net.wire("fw", "dmz")
    ingress.sh("ip route add 198.51.100.7 via 10.99.0.1 dev dmz")

    def bound() -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind(("10.99.0.2", 51820))
        opened.settimeout(3)
        return opened

    with ingress.call(bound) as tunnel:
        to = mac(net, "ingress", "dmz")
        dmz.send(IP(src="198.51.100.8", dst="10.99.0.2") / UDP(sport=51820, dport=51820) / Raw(b"unasked"), to)
        tunnel.sendto(b"hello", ("198.51.100.7", 51820))
        dmz.expect(lambda p: UDP in p and p[UDP].dport == 51820)
        dmz.send(IP(src="198.51.100.7", dst="10.99.0.2") / UDP(sport=51820, dport=51820) / Raw(b"answer"), to)
        assert tunnel.recv(100) == b"answer"
    ingress.sh("ip route del 198.51.100.7")


@pytest.mark.rfc("4191", "DMZ")
def test_advertisements_on_the_dmz_come_from_the_firewall_alone(net: SmallNet) -> None:
    dmz, ingress = net.wire("fw", "dmz"), net.spaces["ingress"]
    for source, prefix in (("fe80::b", "fd00:1:2:bad::"), ("fe80::1", "fd00:1:2:900d::")):
        route = ICMPv6NDOptRouteInfo(plen=64, prefix=prefix, rtlifetime=600)
        advertisement = IPv6(src=source, dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=0) / route
        dmz.send(advertisement, "33:33:00:00:00:01")
    wait_for(lambda: "900d" in ingress.sh("ip -6 route"), 3, "the firewall's route")
    assert "bad" not in ingress.sh("ip -6 route")


def test_the_backstage_gets_answers_and_no_more(net: SmallNet) -> None:
    backstage = net.spaces["net"]
    assert "1 received" in net.spaces["ingress"].sh("ping -4 -c1 -W3 10.98.0.1")
    with pytest.raises(AssertionError, match="100% packet loss"):
        backstage.sh("ping -4 -c1 -W0.3 10.98.0.2")
    wire, host = net.wire("net", "backstage"), net.wire("host", "eth0")
    wire.send(IP(src="10.98.0.1", dst=HOST4) / UDP(dport=9), mac(net, "ingress", "backstage"))
    assert not no_more(net, net.wire("net", "isp"), host)


def test_no_redirect_is_sent(net: SmallNet) -> None:
    def send_redirect() -> None:
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        with raw:
            raw.sendto(bytes([137, 0, 0, 0]) + bytes(36), ("fd00:1:2:99::1", 0))

    with pytest.raises(PermissionError):
        net.spaces["ingress"].call(send_redirect)
