"""The packets of probes: ICMP echo (RFC 792, RFC 4443), ARP (RFC 826), neighbour discovery (RFC 4861). Pure."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from agent.model import Family

ECHO_REPLY: Final = {4: 0, 6: 129}
ADVERTISEMENT: Final = 136
_ECHO_REQUEST: Final = {4: 8, 6: 128}
_SOLICITATION: Final = 135
_HEADER: Final = struct.Struct("!BBHHH")
_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4, _REQUEST, _REPLY = 1, 0x0800, 1, 2
_SOURCE_LINK_LAYER: Final = b"\x01\x01"  # option type and length, in units of 8 bytes


class Echo(NamedTuple):
    """An echo reply."""

    identifier: int
    sequence: int
    payload: bytes


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071) of an even number of bytes, or of an odd one with a zero behind."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(family: Family, identifier: int, sequence: int, payload: bytes) -> bytes:
    """An echo request without the IP header. The kernel fills in the checksum of ICMPv6."""
    kind = _ECHO_REQUEST[family]
    sum_ = checksum(_HEADER.pack(kind, 0, 0, identifier, sequence) + payload) if family == 4 else 0  # noqa: PLR2004
    return _HEADER.pack(kind, 0, sum_, identifier, sequence) + payload


def read_echo(family: Family, data: bytes) -> Echo | None:
    """What a raw ICMP socket received (IPv4: with the IP header), None where it is of no interest."""
    if family == 4:  # noqa: PLR2004
        data = data[(data[0] & 15) * 4 :] if data else b""
    if len(data) < _HEADER.size:
        return None
    kind, _, _, identifier, sequence = _HEADER.unpack_from(data)
    return Echo(identifier, sequence, data[_HEADER.size :]) if kind == ECHO_REPLY[family] else None


def arp_request(mac: bytes, source: IPv4Address, target: IPv4Address) -> bytes:
    """Who has `target`? Tell `source`, at `mac`."""
    return _ARP.pack(_ETHERNET, _IPV4, 6, 4, _REQUEST, mac, source.packed, bytes(6), target.packed)


def read_arp(data: bytes) -> tuple[IPv4Address, bytes] | None:
    """The sender of an ARP reply and its MAC, None for anything else."""
    if len(data) < _ARP.size:
        return None
    hardware, protocol, _, _, operation, mac, sender, _, _ = _ARP.unpack_from(data)
    if (hardware, protocol, operation) != (_ETHERNET, _IPV4, _REPLY):
        return None
    return IPv4Address(sender), mac


def solicitation(target: IPv6Address, mac: bytes) -> bytes:
    """A neighbour solicitation from the link-layer address `mac` (empty: there is none)."""
    option = _SOURCE_LINK_LAYER + mac if mac else b""
    return struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + target.packed + option


def read_advertisement(data: bytes) -> IPv6Address | None:
    """The target of a neighbour advertisement, None for anything else."""
    if len(data) < 24 or data[0] != ADVERTISEMENT:  # noqa: PLR2004 - header and target
        return None
    return IPv6Address(data[8:24])
