"""Forged packets byte by byte, and the script that notes ended connections."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from agent.drivers.reset import checksum, packet
from agent.model import TcpFlow
from agent.render.nft_ended import render_ended, state_table

ports = st.integers(1, 65535)
flows = st.one_of(
    st.builds(TcpFlow, st.ip_addresses(v=4), ports, st.ip_addresses(v=4), ports),
    st.builds(TcpFlow, st.ip_addresses(v=6), ports, st.ip_addresses(v=6), ports),
)


@given(flows)
def test_a_packet_is_a_syn_from_the_remote_end_with_a_good_checksum(flow: TcpFlow) -> None:
    data = packet(flow)
    found = (IP if flow.source.version == 4 else IPv6)(data)
    assert (ip_address(found.src), ip_address(found.dst)) == (flow.destination, flow.source)
    segment = found[TCP]
    assert (segment.sport, segment.dport, str(segment.flags)) == (flow.destination_port, flow.source_port, "S")
    said = segment.chksum
    del segment.chksum
    assert type(found)(bytes(found))[TCP].chksum == said


@given(st.binary(min_size=2, max_size=64).filter(lambda data: len(data) % 2 == 0))
def test_data_with_its_checksum_sums_up_to_nothing(data: bytes) -> None:
    assert checksum(data + struct.pack("!H", checksum(data))) == 0


def test_connections_are_noted_by_family() -> None:
    four = TcpFlow(ip_address("10.10.0.5"), 40000, ip_address("203.0.113.7"), 443)
    six = TcpFlow(ip_address("fd00::5"), 40001, ip_address("2001:db8::7"), 80)
    assert render_ended((six, four)).splitlines() == [
        "add element inet router_state ended4 { 10.10.0.5 . 40000 . 203.0.113.7 . 443 }",
        "add element inet router_state ended6 { fd00::5 . 40001 . 2001:db8::7 . 80 }",
    ]
    assert render_ended(()) == ""


def test_loading_the_table_again_keeps_its_elements() -> None:
    assert "delete table" not in state_table()
    assert "flush set" not in state_table()
