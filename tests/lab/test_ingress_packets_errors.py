"""ICMPv6 errors through an ingress (RFC 6296 section 5, RFC 8200): what they quote is translated too.

Path MTU discovery works in every direction, and nobody outside ever sees an internal address.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6
from scapy.packet import Packet, Raw

from tests.lab.packets import Wire, checksums_hold
from tests.lab.smallnet import FAR6, HOST6, NAS6, WAN6, SmallNet, smallnet
from tests.lab.wait import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.rfc("6296", "ICMPv6")]

WHOLE, ONE, FEW = "2001:db8:a100::/48", "2001:db8:a100:7::/64", "2001:db8:a100:ab00::/56"
OUTSIDE = {WHOLE: "2001:db8:a100:10::100", ONE: "2001:db8:a100:7::100", FEW: "2001:db8:a100:ab10::100"}
HOP = "2001:db8:f::99"
INTERNAL = bytes.fromhex("fd0000010002")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallNet]:
    with smallnet(tmp_path_factory.mktemp("errors")) as made:
        yield made


@pytest.fixture
def net(built: SmallNet) -> Iterator[SmallNet]:
    """With no path MTU learned and every MTU at 1500."""
    yield built
    for node, device in (("ingress", "dmz"), ("ingress", "wan"), ("fw", "home"), ("fw", "guest"), ("fw", "dmz")):
        built.spaces[node].sh(f"ip link set {device} mtu 1500")
    for space in built.spaces.values():
        space.sh("ip -6 route flush cache")


def path_mtu(net: SmallNet, node: str, destination: str) -> bool:
    return wait_for(lambda: "mtu 1300" in net.spaces[node].sh(f"ip -6 route get {destination}"), 3, "the path MTU")


def big(source: str, destination: str) -> Packet:
    # An echo: the kernel takes an error about one without a socket that sent it.
    return IPv6(src=source, dst=destination) / ICMPv6EchoRequest(id=5, data=b"x" * 1400)


def mac(net: SmallNet, node: str, device: str) -> str:
    return net.wire(node, device).mac


@pytest.mark.parametrize("prefix", [WHOLE, FEW, ONE])
def test_inbound(net: SmallNet, prefix: str) -> None:
    """A hop far outside says that a host's packet was too big: the host learns the path MTU."""
    net.apply(prefix)
    host, isp = net.wire("host", "eth0"), net.wire("net", "isp")
    quoted = IPv6(src=OUTSIDE[prefix], dst=FAR6) / ICMPv6EchoRequest(id=5, data=b"x" * 800)
    isp.send(IPv6(src=HOP, dst=OUTSIDE[prefix]) / ICMPv6PacketTooBig(mtu=1300) / quoted, mac(net, "ingress", "wan"))
    got = host.expect(lambda p: ICMPv6PacketTooBig in p)
    assert (got[IPv6].src, got[IPv6].dst) == (HOP, HOST6)
    assert got[ICMPv6PacketTooBig].payload.src == HOST6
    assert checksums_hold(got)
    assert path_mtu(net, "host", FAR6)


@pytest.mark.parametrize("prefix", [WHOLE, FEW, ONE])
def test_outbound(net: SmallNet, prefix: str) -> None:
    """A hop inside (the firewall, whose DMZ address is mapped or is not) says it: the sender outside learns."""
    net.apply(prefix)
    net.spaces["fw"].sh("ip link set home mtu 1300")
    isp = net.wire("net", "isp")
    isp.send(big(FAR6, OUTSIDE[prefix]), mac(net, "ingress", "wan"))
    got = isp.expect(lambda p: ICMPv6PacketTooBig in p)
    assert got[IPv6].dst == FAR6
    assert got[ICMPv6PacketTooBig].payload.dst == OUTSIDE[prefix]
    assert checksums_hold(got)
    assert INTERNAL not in bytes(got)
    assert got[IPv6].src == (WAN6 if prefix != WHOLE else "2001:db8:a100:99::1")
    assert path_mtu(net, "net", OUTSIDE[prefix])


@pytest.mark.parametrize("prefix", [WHOLE, FEW, ONE])
def test_outbound_from_the_host_itself(net: SmallNet, prefix: str) -> None:
    """A closed UDP port: the error's source is the mapped host."""
    net.apply(prefix)
    isp = net.wire("net", "isp")
    isp.send(IPv6(src=FAR6, dst=OUTSIDE[prefix]) / UDP(sport=1, dport=9) / Raw(b"x"), mac(net, "ingress", "wan"))
    got = isp.expect(lambda p: ICMPv6DestUnreach in p)
    assert got[IPv6].src == OUTSIDE[prefix]
    assert got[ICMPv6DestUnreach].payload.dst == OUTSIDE[prefix]
    assert checksums_hold(got)
    assert INTERNAL not in bytes(got)


@pytest.mark.parametrize("prefix", [WHOLE, FEW, ONE])
@pytest.mark.parametrize("kind", [ICMPv6PacketTooBig, ICMPv6TimeExceeded])
def test_of_the_ingress_itself(net: SmallNet, prefix: str, kind: type[Packet]) -> None:
    net.apply(prefix)
    isp = net.wire("net", "isp")
    sent = big(FAR6, OUTSIDE[prefix])
    if kind is ICMPv6PacketTooBig:
        net.spaces["ingress"].sh("ip link set dmz mtu 1300")
    else:
        sent.hlim = 1
    isp.send(sent, mac(net, "ingress", "wan"))
    got = isp.expect(lambda p: kind in p)
    assert got[IPv6].src == WAN6
    assert got[kind].payload.dst == OUTSIDE[prefix]
    assert checksums_hold(got)
    assert INTERNAL not in bytes(got)
    if kind is ICMPv6PacketTooBig:
        assert path_mtu(net, "net", OUTSIDE[prefix])


@pytest.mark.rfc("7084", "WPD-5")
@pytest.mark.parametrize(("prefix", "unused"), [(WHOLE, "2001:db8:a100:77::1"), (ONE, "2001:db8:a100:8::1")])
def test_the_unused_part_is_unreachable(net: SmallNet, prefix: str, unused: str) -> None:
    net.apply(prefix)
    isp = net.wire("net", "isp")
    isp.send(IPv6(src=FAR6, dst=unused) / UDP(sport=1, dport=9) / Raw(b"x"), mac(net, "ingress", "wan"))
    got = isp.expect(lambda p: ICMPv6DestUnreach in p or UDP in p)
    assert got[ICMPv6DestUnreach].payload.dst == unused
    assert got[IPv6].src == WAN6
    assert checksums_hold(got)
    assert INTERNAL not in bytes(got)


def test_about_an_inside_packet_too_big_for_the_uplink(net: SmallNet) -> None:
    """The ingress tells the host: nothing is translated, since nothing was yet."""
    net.apply(WHOLE)
    net.spaces["ingress"].sh("ip link set wan mtu 1300")
    host = net.wire("host", "eth0")
    host.send(big(HOST6, FAR6), mac(net, "fw", "home"))
    got = host.expect(lambda p: ICMPv6PacketTooBig in p)
    assert got[ICMPv6PacketTooBig].payload.src == HOST6
    assert checksums_hold(got)
    assert path_mtu(net, "host", FAR6)


@pytest.mark.rfc("6296", "hairpin")
def test_hairpinned(net: SmallNet) -> None:
    """The hop before the other host: its error goes through the ingress both ways round."""
    net.apply(WHOLE)
    net.spaces["fw"].sh("ip link set guest mtu 1300")
    host = net.wire("host", "eth0")
    other = "2001:db8:a100:20::5"
    host.send(big(HOST6, other), mac(net, "fw", "home"))
    got = host.expect(lambda p: ICMPv6PacketTooBig in p)
    assert got[IPv6].dst == HOST6
    assert got[ICMPv6PacketTooBig].payload.src == HOST6
    assert got[ICMPv6PacketTooBig].payload.dst == other
    assert checksums_hold(got)
    assert path_mtu(net, "host", other)


@pytest.mark.rfc("6296", "hairpin")
@pytest.mark.parametrize("prefix", [WHOLE, FEW])
def test_of_the_ingress_about_a_hairpin(net: SmallNet, prefix: str) -> None:
    """To the sender the destination was the external address, so that is what the error must quote."""
    net.apply(prefix)
    host = net.wire("host", "eth0")
    other = {WHOLE: "2001:db8:a100:20::5", FEW: "2001:db8:a100:ab20::5"}[prefix]
    sent = IPv6(src=HOST6, dst=other, hlim=2) / UDP(sport=5001, dport=9) / Raw(b"x")
    host.send(sent, mac(net, "fw", "home"))
    got = host.expect(lambda p: ICMPv6TimeExceeded in p)
    assert got[ICMPv6TimeExceeded].payload.dst == other
    assert got[ICMPv6TimeExceeded].payload.src == HOST6
    assert checksums_hold(got)


@pytest.mark.parametrize("prefix", [WHOLE, FEW, ONE])
def test_no_traceroute_shows_an_internal_address(net: SmallNet, prefix: str) -> None:
    """From outside to a host, hop by hop; and from a host outwards nothing is lost."""
    net.apply(prefix)
    isp = net.wire("net", "isp")
    routers = []
    for hops in (1, 2, 3):
        probe = IPv6(src=FAR6, dst=OUTSIDE[prefix], hlim=hops) / UDP(sport=33000 + hops, dport=33434) / Raw(b"x")
        isp.send(probe, mac(net, "ingress", "wan"))
        got = isp.expect(lambda p: ICMPv6TimeExceeded in p or ICMPv6DestUnreach in p)
        assert INTERNAL not in bytes(got)
        assert checksums_hold(got)
        routers.append(got[IPv6].src)
    assert routers[0] == WAN6
    assert routers[2] == OUTSIDE[prefix]


def test_an_error_about_an_overflowing_flow(net: SmallNet) -> None:
    """NAT66 is the kernel's: its errors come back to the host that the flow belongs to."""
    net.apply(ONE)
    nas, isp = net.wire("nas", "eth0"), net.wire("net", "isp")
    nas.send(IPv6(src=NAS6, dst=FAR6) / ICMPv6EchoRequest(id=6, data=b"x" * 900), mac(net, "fw", "guest"))
    out = isp.expect(lambda p: ICMPv6EchoRequest in p)
    assert out[IPv6].src == WAN6
    error = IPv6(src=HOP, dst=WAN6) / ICMPv6PacketTooBig(mtu=1300) / out[IPv6]
    isp.send(error, mac(net, "ingress", "wan"))
    got = nas.expect(lambda p: ICMPv6PacketTooBig in p)
    assert got[ICMPv6PacketTooBig].payload.src == NAS6
    assert checksums_hold(got)
    assert path_mtu(net, "nas", FAR6)


@pytest.mark.rfc("6092", "REC-10")
def test_an_error_that_belongs_to_no_flow_stays_outside(net: SmallNet) -> None:
    net.apply()
    host, dmz, isp = net.wire("host", "eth0"), net.wire("fw", "dmz"), net.wire("net", "isp")
    quoted = IPv6(src=WAN6, dst=FAR6) / UDP(sport=6100, dport=9)
    isp.send(IPv6(src=HOP, dst=WAN6) / ICMPv6PacketTooBig(mtu=1300) / quoted, mac(net, "ingress", "wan"))
    isp.send(IPv6(src=HOP, dst=HOST6) / ICMPv6PacketTooBig(mtu=1300) / quoted, mac(net, "ingress", "wan"))
    marker(net, isp, host)
    assert not [packet for packet in (*host.passed, *dmz.frames(0)) if ICMPv6PacketTooBig in packet]


def marker(net: SmallNet, isp: Wire, host: Wire) -> None:
    """A packet that does come through, after the ones that must not: then there is nothing left to wait for."""
    net.apply(WHOLE)
    isp.send(IPv6(src=FAR6, dst=OUTSIDE[WHOLE]) / UDP(sport=7, dport=7777), mac(net, "ingress", "wan"))
    host.expect(lambda p: UDP in p and p[UDP].dport == 7777)
