"""RFC 4787, 5382 and 5508 on an ingress: what its NAT of IPv4 does to packets, and how long it remembers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.packet import Raw

from tests.lab.packets import Wire, checksums_hold
from tests.lab.smallnet import FAR4, HOST4, NAS4, WAN4, SmallNet, smallnet

pytestmark = pytest.mark.lab
EXTERNAL = "2001:db8:a100::/48"
NEXT_HOP = "192.0.2.1"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNet]:
    with smallnet(tmp_path_factory.mktemp("conform44")) as made:
        plan = made.apply(EXTERNAL)
        lines = (f"echo {value} > /proc/sys/{key}" for key, value in plan.sysctls)
        made.spaces["ingress"].sh("\n".join(lines))
        yield made


def wires(net: SmallNet) -> tuple[Wire, Wire, str, str]:
    """The host's and the ISP's wire, and the MACs of the next hops there."""
    macs = (net.wire("fw", "home").mac, net.wire("ingress", "wan").mac)
    return net.wire("host", "eth0"), net.wire("net", "isp"), *macs


@pytest.mark.rfc("4787", "REQ-1")
@pytest.mark.rfc("4787", "REQ-2")
def test_a_host_keeps_its_port_and_its_address_towards_everybody(net: SmallNet) -> None:
    host, isp, gateway, _ = wires(net)
    for target in (FAR4, NEXT_HOP):
        host.send(IP(src=HOST4, dst=target) / UDP(sport=4001, dport=9), gateway)
        got = isp.expect(lambda p, t=target: UDP in p and p[IP].dst == t)  # type: ignore[misc]
        assert (got[IP].src, got[UDP].sport) == (WAN4, 4001)


@pytest.mark.rfc("4787", "REQ-1")
def test_two_hosts_with_one_port_are_told_apart(net: SmallNet) -> None:
    host, isp, gateway, outside = wires(net)
    nas = net.wire("nas", "eth0")
    host.send(IP(src=HOST4, dst=FAR4) / UDP(sport=4002, dport=9), gateway)
    first = isp.expect(lambda p: UDP in p)
    nas.send(IP(src=NAS4, dst=FAR4) / UDP(sport=4002, dport=9), net.wire("fw", "guest").mac)
    second = isp.expect(lambda p: UDP in p)
    assert first[UDP].sport != second[UDP].sport
    isp.send(IP(src=FAR4, dst=WAN4) / UDP(sport=9, dport=second[UDP].sport) / Raw(b"for nas"), outside)
    assert nas.expect(lambda p: UDP in p)[UDP].dport == 4002


@pytest.mark.rfc("7857", "5")
def test_what_a_port_means_for_udp_is_nothing_to_tcp(net: SmallNet) -> None:
    host, isp, gateway, _ = wires(net)
    nas = net.wire("nas", "eth0")
    nas.send(IP(src=NAS4, dst=FAR4) / UDP(sport=4020, dport=9), net.wire("fw", "guest").mac)
    assert isp.expect(lambda p: UDP in p)[UDP].sport == 4020
    host.send(IP(src=HOST4, dst=FAR4) / TCP(sport=4020, dport=9), gateway)
    assert isp.expect(lambda p: TCP in p)[TCP].sport == 4020, "though another host has that port of UDP"


@pytest.mark.rfc("4787", "REQ-8")
def test_an_unasked_packet_to_a_mapping_is_dropped(net: SmallNet) -> None:
    host, isp, gateway, outside = wires(net)
    host.send(IP(src=HOST4, dst=FAR4) / UDP(sport=4003, dport=9), gateway)
    isp.expect(lambda p: UDP in p)
    isp.send(IP(src=NEXT_HOP, dst=WAN4) / UDP(sport=9, dport=4003) / Raw(b"unasked"), outside)
    isp.send(IP(src=FAR4, dst=WAN4) / UDP(sport=9, dport=4003) / Raw(b"answer"), outside)
    assert host.expect(lambda p: UDP in p)[IP].src == FAR4


@pytest.mark.rfc("4787", "REQ-12")
def test_an_error_does_not_end_a_mapping(net: SmallNet) -> None:
    host, isp, gateway, outside = wires(net)
    host.send(IP(src=HOST4, dst=FAR4) / UDP(sport=4004, dport=9) / Raw(b"x" * 8), gateway)
    sent = isp.expect(lambda p: UDP in p)
    isp.send(IP(src=NEXT_HOP, dst=WAN4) / ICMP(type=3, code=3) / sent[IP], outside)
    error = host.expect(lambda p: ICMP in p)
    assert error[ICMP].payload.src == HOST4
    isp.send(IP(src=FAR4, dst=WAN4) / UDP(sport=9, dport=4004) / Raw(b"answer"), outside)
    assert host.expect(lambda p: UDP in p)[UDP].dport == 4004


@pytest.mark.rfc("4787", "REQ-14")
def test_fragments_out_of_order_pass(net: SmallNet) -> None:
    host, isp, gateway, outside = wires(net)
    whole = IP(src=HOST4, dst=FAR4, id=77) / UDP(sport=4005, dport=9) / Raw(bytes(range(256)) * 10)
    for piece in reversed(fragment(whole, fragsize=1200)):  # type: ignore[no-untyped-call]
        host.send(piece, gateway)
    offsets: set[int] = set()
    while len(offsets) < 2 or min(offsets) > 0:
        got = isp.expect(lambda p: IP in p and p[IP].dst == FAR4)
        assert got[IP].src == WAN4
        offsets.add(int(got[IP].frag))
    back = IP(src=FAR4, dst=WAN4, id=78) / UDP(sport=9, dport=4005) / Raw(bytes(2000))
    for piece in reversed(fragment(back, fragsize=1200)):  # type: ignore[no-untyped-call]
        isp.send(piece, outside)
    assert host.expect(lambda p: IP in p and p[IP].src == FAR4)[IP].dst == HOST4


@pytest.mark.rfc("5508", "REQ-1")
def test_pings_of_two_hosts_with_one_id_are_told_apart(net: SmallNet) -> None:
    host, isp, gateway, outside = wires(net)
    nas = net.wire("nas", "eth0")
    host.send(IP(src=HOST4, dst="198.51.100.9") / ICMP(id=77, seq=1), gateway)
    first = isp.expect(lambda p: ICMP in p)
    nas.send(IP(src=NAS4, dst="198.51.100.9") / ICMP(id=77, seq=1), net.wire("fw", "guest").mac)
    second = isp.expect(lambda p: ICMP in p)
    assert first[IP].src == second[IP].src == WAN4
    assert first[ICMP].id != second[ICMP].id
    isp.send(IP(src="198.51.100.9", dst=WAN4) / ICMP(type=0, id=second[ICMP].id, seq=1), outside)
    got = nas.expect(lambda p: ICMP in p)
    assert got[ICMP].id == 77
    assert checksums_hold(got)


@pytest.mark.parametrize(
    ("names", "least"),
    [
        pytest.param(("udp_timeout", "udp_timeout_stream"), 120, marks=pytest.mark.rfc("4787", "REQ-5")),
        pytest.param(("tcp_timeout_established",), 7440, marks=pytest.mark.rfc("5382", "REQ-5")),
        pytest.param(
            tuple(f"tcp_timeout_{n}" for n in ("syn_sent", "syn_recv", "fin_wait", "close_wait", "last_ack")),
            240,
            marks=pytest.mark.rfc("5382", "REQ-5"),
        ),
        pytest.param(("icmp_timeout",), 60, marks=pytest.mark.rfc("5508", "REQ-2")),
    ],
)
def test_a_mapping_lives_long_enough(net: SmallNet, names: tuple[str, ...], least: int) -> None:
    read = "cat /proc/sys/net/netfilter/nf_conntrack_{}"
    held = {name: int(net.spaces["ingress"].sh(read.format(name))) for name in names}
    assert {name: seconds for name, seconds in held.items() if seconds < least} == {}
