"""The packets of probes, on paper: scapy reads what we write, we read what scapy writes, and garbage is no answer."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6ND_NA, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP

from agent.drivers.probe import dns, packet
from agent.drivers.probe.packet import Echo
from agent.model import Family

MAC = bytes.fromhex("020000000102")
families: st.SearchStrategy[Family] = st.sampled_from([4, 6])


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=9))
def test_an_ipv4_echo_is_what_scapy_reads_and_writes(identifier: int, sequence: int, payload: bytes) -> None:
    request = ICMP(packet.echo_request(4, identifier, sequence, payload))
    assert (request.type, request.id, request.seq) == (8, identifier, sequence)
    assert packet.checksum(bytes(request)) == 0
    reply = bytes(IP(dst="192.0.2.1") / ICMP(type=0, id=identifier, seq=sequence) / payload)
    assert packet.read_echo(4, reply) == Echo(identifier, sequence, payload)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=9))
def test_an_ipv6_echo_is_what_scapy_reads_and_writes(identifier: int, sequence: int, payload: bytes) -> None:
    request = packet.echo_request(6, identifier, sequence, payload)
    assert request[:1] == b"\x80"
    reply = bytes(IPv6() / ICMPv6EchoReply(id=identifier, seq=sequence, data=payload))[40:]
    assert packet.read_echo(6, reply) == Echo(identifier, sequence, payload)


def test_arp() -> None:
    request = ARP(packet.arp_request(MAC, IPv4Address("192.0.2.2"), IPv4Address("192.0.2.1")))
    assert (request.op, request.hwsrc, request.psrc, request.pdst) == (1, "02:00:00:00:01:02", "192.0.2.2", "192.0.2.1")
    reply = bytes(ARP(op=2, hwsrc="02:00:00:00:03:04", psrc="192.0.2.1"))
    assert packet.read_arp(reply) == (IPv4Address("192.0.2.1"), bytes.fromhex("020000000304"))
    assert packet.read_arp(bytes(request)) is None, "a question is no answer"


def test_neighbour_discovery() -> None:
    question = packet.solicitation(IPv6Address("fe80::1"), MAC)
    read = ICMPv6ND_NS(question)
    assert (read.type, read.tgt, read.lladdr) == (135, "fe80::1", "02:00:00:00:01:02")
    assert packet.read_advertisement(bytes(ICMPv6ND_NA(tgt="fe80::1"))) == IPv6Address("fe80::1")
    assert packet.read_advertisement(question) is None


@given(families, st.binary(max_size=80))
def test_garbage_is_no_answer_and_no_failure(family: Family, data: bytes) -> None:
    packet.read_echo(family, data)
    packet.read_arp(data)
    packet.read_advertisement(data)
    with pytest.raises(dns.MessageError):
        dns.answer(dns.query(1, "example.com", family), data)


def answered(question: bytes, **fields: object) -> bytes:
    asked = DNS(question)
    return bytes(DNS(**({"id": asked.id, "qr": 1, "qd": asked.qd} | fields)))


def test_a_dns_query_is_what_scapy_reads() -> None:
    asked = DNS(dns.query(7, "www.example.com", 6))
    assert (asked.id, asked.rd, asked.qd[0].qname, asked.qd[0].qtype) == (7, 1, b"www.example.com.", 28)


def test_a_dns_answer_is_read_past_aliases_and_compression() -> None:
    question = dns.query(7, "example.com", 4)
    records = [
        DNSRR(rrname="example.com", type="CNAME", rdata="host.example.net"),
        DNSRR(rrname="host.example.net", type="A", rdata="192.0.2.7"),
    ]
    assert dns.answer(question, answered(question, an=records)) == (IPv4Address("192.0.2.7"),)
    six = dns.query(7, "example.com", 6)
    record = DNSRR(rrname="example.com", type="AAAA", rdata="2001:db8::7")
    assert dns.answer(six, answered(six, an=record)) == (IPv6Address("2001:db8::7"),)
    # A pointer to the name of the question (RFC 1035 section 4.1.4), as servers write it.
    pointed = answered(question)[:6] + b"\0\1" + answered(question)[8:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7"
    assert dns.answer(question, pointed) == (IPv4Address("192.0.2.7"),)


def test_no_such_name_is_an_answer_and_a_server_that_fails_is_none() -> None:
    question = dns.query(7, "example.com", 4)
    assert dns.answer(question, answered(question, rcode=3)) == ()
    for rcode in (2, 5):
        with pytest.raises(dns.MessageError, match=str(rcode)):
            dns.answer(question, answered(question, rcode=rcode))
    for wrong in (answered(question, id=8), answered(question, qd=DNSQR(qname="example.org")), question):
        with pytest.raises(dns.MessageError):
            dns.answer(question, wrong)


def test_an_answer_cut_short_is_none() -> None:
    question = dns.query(7, "example.com", 4)
    whole = answered(question, an=DNSRR(rrname="example.com", type="A", rdata="192.0.2.7"))
    for size in range(len(question), len(whole)):
        with pytest.raises(dns.MessageError, match="cut short"):
            dns.answer(question, whole[:size])
