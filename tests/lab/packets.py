"""Packets as they are on the wire: send any frame, see what comes, and know whether its checksums are right."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

# One packet of each transport that is translated.
TRANSPORTS = [
    UDP(sport=4567, dport=7) / Raw(b"question"),
    TCP(sport=4568, dport=80, flags="S", seq=1),
    ICMPv6EchoRequest(id=77, seq=3, data=b"ping"),
]


class Wire:
    """A packet socket: sends frames as they are, and sees what comes and goes on its device from now on."""

    def __init__(self, device: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind((device, 3))
        self.passed: list[Packet] = []  # what `expect` saw before what it waited for
        self.mac = ":".join(f"{byte:02x}" for byte in self._socket.getsockname()[4])

    def send(self, packet: Packet, to: str) -> None:
        """Send an IP packet to a MAC."""
        kind = 0x86DD if IPv6 in packet else 0x0800
        self._socket.send(bytes(Ether(src=self.mac, dst=to, type=kind) / packet))

    def raw(self, frame: Packet | bytes) -> None:
        """Send a frame as it is."""
        self._socket.send(bytes(frame))

    def frames(self, seconds: float = 0.0) -> Iterator[Packet]:
        """Packets that came to this device; ends when none has come for `seconds`."""
        while select.select([self._socket], [], [], seconds)[0]:
            data, address = self._socket.recvfrom(65535)
            if address[2] != socket.PACKET_OUTGOING:
                yield Ether(data)

    def expect(self, wanted: Callable[[Packet], bool], seconds: float = 3.0) -> Packet:
        """The next packet that is wanted; an AssertionError with what came instead after `seconds`."""
        seen: list[str] = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for packet in self.frames(min(left, 0.1)):
                if wanted(packet):
                    return packet
                seen.append(packet.summary())
                self.passed.append(packet)
        raise AssertionError("no such packet came, only:\n" + "\n".join(seen[-20:]))

    def close(self) -> None:
        self._socket.close()


def checksums_hold(packet: Packet) -> bool:
    """Whether the checksums of an IP header and of the TCP, UDP or ICMP above it are what the bytes need."""
    if IPv6 in packet:
        header = packet[IPv6]
        payload = bytes(header)[40 : 40 + header.plen]
        return _sums_up(_pseudo(header.src, header.dst, int(header.nh), len(payload)) + payload)
    header = packet[IP]
    size = header.ihl * 4
    payload = bytes(header)[size : header.len]
    pseudo = b"" if header.proto == socket.IPPROTO_ICMP else _pseudo(header.src, header.dst, header.proto, len(payload))
    return _sums_up(bytes(header)[:size]) and _sums_up(pseudo + payload)


def _pseudo(source: str, destination: str, protocol: int, size: int) -> bytes:
    return ip_address(source).packed + ip_address(destination).packed + struct.pack("!II", size, protocol)


def _sums_up(data: bytes) -> bool:
    """RFC 1071: with its checksum in, data adds up to all ones."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    return total % 0xFFFF == 0


def is_like(packet: Packet, sent: Packet) -> bool:
    """Whether a packet has the same kind of transport with the same ports or id."""
    mine = sent[IPv6].payload
    if type(mine) not in packet:
        return False
    theirs = packet[type(mine)]
    fields = ("sport", "dport") if isinstance(mine, UDP | TCP) else ("id", "seq")
    return all(getattr(mine, name) == getattr(theirs, name) for name in fields)
