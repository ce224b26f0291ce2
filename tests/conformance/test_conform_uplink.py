"""RFC 7084, 8415 and 9096 on the wire of an uplink: the ingress's own dhcpcd.conf, a real dhcpcd and a real ISP."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from scapy.layers.dhcp6 import (
    DHCP6_Release,
    DHCP6_Renew,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptIA_NA,
    DHCP6OptIA_PD,
    DHCP6OptIAPrefix,
    DHCP6OptOptReq,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet as Layers

from agent.desired.ingress import DhcpcdConfig, DhcpcdUplink
from agent.render.dhcpcd import render_dhcpcd
from tests.lab.capture import Capture, Packet
from tests.lab.lab import Lab
from tests.lab.router import Services
from tests.lab.topology import KPN_PREFIX
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
CONFIG = render_dhcpcd(DhcpcdConfig("dmz", "kpn", DhcpcdUplink("wan", delegation=56)))
NEIGHBOUR_SOLICITATION, ROUTER_SOLICITATION = 135, 133
DNS, DOMAINS, SOL_MAX_RT = 23, 24, 82


class Line:
    """The ingress kpn, its ISP, and what passed between them."""

    def __init__(self, lab: Lab, capture: Capture) -> None:
        self.lab, self.capture = lab, capture
        self.node = lab.nodes["kpn"]
        path = self.node.path(f"/run/router/etc/{CONFIG.path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONFIG.text)
        self.services = Services(self.node, target="dhcpcd")

    def routes(self, which: str) -> str:
        return self.node.output(["ip", "-6", "route", "show", *which.split()])

    def delegated(self, prefix: str) -> None:
        """Wait until it is, and nothing else."""

        def found() -> list[str]:
            return [line.split()[1] for line in self.routes("type unreachable").splitlines()]

        wait_for(lambda: found() == [prefix], 20, lambda: f"{prefix}: {found()}\n{self.services.log()[-2000:]}")

    def said(self) -> list[Layers]:
        """All that the client has said so far."""
        ours = (packet for packet in self.capture.packets if _is_message(packet) and not packet.outgoing)
        return [Ether(packet.data) for packet in ours]

    def messages(self, kind: type[Layers]) -> list[Layers]:
        """The client's messages of a kind so far."""
        return [found[kind] for found in self.said() if kind in found]

    def offers(self, prefix: str) -> None:
        """The ISP delegates this prefix and the client has it."""
        if self.lab.isp["kpn"].prefix != prefix:
            self.lab.isp["kpn"].delegate(prefix)
        self.delegated(prefix)


def _is_message(packet: Packet) -> bool:
    return packet.protocol == "udp" and packet.destination_port in {546, 547}


def is_discovery(kind: int) -> Callable[[Packet], bool]:
    return lambda packet: packet.protocol == "icmp6" and packet.kind == kind and not packet.outgoing


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Lab(nodes=["kpn", "kpn-isp"]) as lab, Capture(lab.nodes["kpn-isp"], "port") as capture:
        lab.start_isps()
        lab.nodes["kpn"].ip("link set wan down")
        lab.nodes["kpn"].ip("link set wan up")
        found = Line(lab, capture)
        found.services.start()
        found.delegated(KPN_PREFIX)
        yield found
        found.services.stop()


@pytest.mark.rfc("7084", "W-1..3")
def test_the_uplink_is_a_host_s_interface(line: Line) -> None:
    wait_for(lambda: line.node.addresses("wan", 6), 15, "an address by DHCPv6")
    assert line.node.addresses("wan", 6)[0].startswith("2001:db8:a::1")
    wait_for(lambda: "proto ra" in line.routes("default"), 15, lambda: line.routes(""))
    tried = line.capture.find(lambda p: is_discovery(NEIGHBOUR_SOLICITATION)(p) and p.source == "::")
    asked = line.capture.find(is_discovery(ROUTER_SOLICITATION))
    assert tried is not None
    assert asked is not None
    assert tried.time < asked.time, "its address is known to be its own before it speaks by it"


@pytest.mark.rfc("7084", "WAA")
def test_address_and_servers_are_asked_for_in_one_exchange(line: Line) -> None:
    request = line.messages(DHCP6_Request)[0]
    assert DHCP6OptIA_NA in request
    asked = set(request[DHCP6OptOptReq].reqopts)
    assert {DNS, DOMAINS, SOL_MAX_RT} <= asked
    lease = line.node.path("/run/router/leases/wan.6")
    wait_for(lease.exists, 10, "the hook")
    assert "new_dhcp6_name_servers=2001:db8:f::7" in lease.read_text()


@pytest.mark.rfc("7084", "WPD-1..4")
def test_a_prefix_is_asked_for_with_a_hint_and_another_length_is_taken(line: Line) -> None:
    solicit = line.messages(DHCP6_Solicit)[0]
    assert DHCP6OptIA_NA in solicit, "one session for both"
    assert solicit[DHCP6OptIA_PD][DHCP6OptIAPrefix].plen == 56
    assert KPN_PREFIX.endswith("/48"), "and that was taken"
    line.offers("2001:db8:a300::/60")
    line.offers(KPN_PREFIX)


@pytest.mark.rfc("8415", "renewal")
def test_a_lease_is_renewed_and_a_prefix_that_is_gone_is_gone_at_once(line: Line) -> None:
    line.capture.wait(lambda _: bool(line.messages(DHCP6_Renew)), 20, "a renewal")
    line.lab.isp["kpn"].withdraw()
    wait_for(lambda: not line.routes("type unreachable"), 20, "lifetime 0 to end it")
    line.offers(KPN_PREFIX)


@pytest.mark.rfc("7084", "W-5")
@pytest.mark.rfc("9096", "WPD-9/10")
def test_a_restart_releases_nothing_and_is_the_same_client(line: Line) -> None:
    line.services.dinitctl("restart", "dhcpcd")
    before = len(line.said())
    wait_for(lambda: len(line.said()) > before, 20, "the client to speak again")
    line.delegated(KPN_PREFIX)
    messages = line.said()
    assert not line.messages(DHCP6_Release)
    assert len({bytes(m[DHCP6OptClientId].duid) for m in messages if DHCP6OptClientId in m}) == 1
    assert {m[DHCP6OptIA_PD].iaid for m in messages if DHCP6OptIA_PD in m} == {2}
    assert {m[DHCP6OptIA_NA].iaid for m in messages if DHCP6OptIA_NA in m} == {1}
