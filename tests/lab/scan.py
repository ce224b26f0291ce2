"""A port scan of many addresses at once: bare SYNs, and who answers with a SYN of its own (RFC 9293 section 3.5)."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import TypeAlias

from tests.lab.node import Node

Open: TypeAlias = tuple[IPv6Address, int]
_SYN, _SYN_ACK = 0x02, 0x12
_PORT = 40000


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _syn(source: bytes, target: IPv6Address, port: int) -> bytes:
    header = struct.pack("!HHIIBBHHH", _PORT, port, 7, 0, 5 << 4, _SYN, 1024, 0, 0)
    pseudo = source + target.packed + struct.pack("!II", len(header), socket.IPPROTO_TCP)
    header = header[:16] + struct.pack("!H", _checksum(pseudo + header)) + header[18:]
    return struct.pack("!IHBB", 6 << 28, len(header), socket.IPPROTO_TCP, 64) + source + target.packed + header


def scan(node: Node, device: str, gateway_mac: str, source: str, targets: Iterable[Open]) -> set[Open]:
    """The (address, port) of `targets` that answer to a SYN of `source`, a node's address on `device`."""
    mac = node.output(["cat", f"/sys/class/net/{device}/address"]).strip()
    frame = bytes.fromhex((gateway_mac + mac).replace(":", "")) + bytes.fromhex("86dd")
    own, found = IPv6Address(source).packed, set()
    with node.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
        wire.bind((device, 0x86DD))
        for number, (target, port) in enumerate(targets):
            wire.send(frame + _syn(own, target, port))
            if number % 64 == 0:
                found |= _answers(wire, 0.0)
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            found |= _answers(wire, 0.2)
    return found


def _answers(wire: socket.socket, seconds: float) -> set[Open]:
    found = set()
    while select.select([wire], [], [], seconds)[0]:
        data, address = wire.recvfrom(2048)
        packet = data[14:]
        if address[2] == socket.PACKET_OUTGOING or packet[6] != socket.IPPROTO_TCP:
            continue
        source_port, port = struct.unpack_from("!HH", packet, 40)
        if port == _PORT and packet[53] & _SYN_ACK == _SYN_ACK:
            found.add((IPv6Address(packet[8:24]), source_port))
    return found
