"""Many DHCPv4 clients on one interface, by raw frames: `python3 dhcp_clients.py eth0 COUNT`, prints JSON.

Each has a MAC and a host name of its own. They get leases (DISCOVER to ACK), then renew them (REQUEST with `ciaddr`, as
a client that rebinds does, RFC 2131 section 4.3.2), 32 at a time. Said: their addresses, milliseconds of each renewal,
and how many got no answer or a wrong one. Standard library only: it runs inside a node.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Callable

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
WINDOW, PATIENCE, TRIES = 32, 2.0, 3
MAGIC = b"\x63\x82\x53\x63"


def mac(number: int) -> bytes:
    """The MAC of a client."""
    return b"\x02\x10" + number.to_bytes(4, "big")


def name(number: int) -> str:
    """Its host name."""
    return f"client-{number:04d}"


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(number: int, kind: int, *, own: bytes = bytes(4), asked: bytes = b"", server: bytes = b"") -> bytes:
    """A broadcast of a client. `own`: ciaddr; `asked`: option 50; `server`: option 54."""
    host = name(number).encode()
    options = bytes([53, 1, kind, 61, 7, 1]) + mac(number) + bytes([55, 3, 1, 3, 6, 12, len(host)]) + host
    options += bytes([50, 4]) + asked if asked else b""
    options += bytes([54, 4]) + server if server else b""
    # The broadcast flag: a client without an address yet cannot be reached otherwise.
    flags = 0 if any(own) else 0x8000
    bootp = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 1, 1, 6, 0, number, 0, flags, own, bytes(4), bytes(4), bytes(4),
                        mac(number), b"", b"")  # fmt: skip
    payload = bootp + MAGIC + options + b"\xff"
    udp = struct.pack("!HHHH", 68, 67, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, own, b"\xff" * 4)
    head = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
    return b"\xff" * 6 + mac(number) + b"\x08\x00" + head + udp


def answer(data: bytes) -> tuple[int, int, bytes, bytes] | None:
    """(client, kind, address, server) of a server's frame, None for anything else."""
    if data[12:14] != b"\x08\x00" or data[23] != 17:
        return None
    place = 14 + (data[14] & 15) * 4
    if data[place : place + 4] != b"\x00\x43\x00\x44":
        return None
    bootp = data[place + 8 :]
    found: dict[int, bytes] = {}
    place = 240
    while place < len(bootp) and bootp[place] != 255:
        size = bootp[place + 1]
        found[bootp[place]] = bootp[place + 2 : place + 2 + size]
        place += 2 + size
    return int.from_bytes(bootp[4:8], "big"), found[53][0], bootp[16:20], found.get(54, b"")


def everyone(
    wire: socket.socket,
    count: int,
    first: Callable[[int], bytes],
    then: Callable[[int, int, bytes, bytes], bytes | None],
) -> tuple[dict[int, float], list[int]]:
    """Each client sends its first frame, then what `then` says to an answer, until that is None."""
    waiting: dict[int, tuple[float, float, int, bytes]] = {}
    took: dict[int, float] = {}
    lost: list[int] = []
    left = iter(range(1, count + 1))
    more = True
    while more or waiting:
        while more and len(waiting) < WINDOW:
            number = next(left, 0)
            if not number:
                more = False
                break
            now = time.monotonic()
            waiting[number] = (now, now, 1, first(number))
            wire.send(waiting[number][3])
        if select.select([wire], [], [], 0.1)[0]:
            found = answer(wire.recv(4096))
            now = time.monotonic()
            if found is not None and found[0] in waiting:
                number = found[0]
                following = then(*found)
                if following is None:
                    took[number] = now - waiting.pop(number)[0]
                else:
                    waiting[number] = (waiting[number][0], now, 1, following)
                    wire.send(following)
        now = time.monotonic()
        for number, (began, sent, tries, data) in list(waiting.items()):
            if now - sent > PATIENCE:
                del waiting[number]
                if tries == TRIES:
                    lost.append(number)
                else:
                    waiting[number] = (began, now, tries + 1, data)
                    wire.send(data)
    return took, lost


def main(interface: str, count: int) -> None:
    """All leases, then all renewals."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    wire.bind((interface, 0))
    # PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC (packet(7)): answers go to the clients' MACs.
    wire.setsockopt(263, 1, struct.pack("IHH8s", socket.if_nametoindex(interface), 1, 0, b""))
    addresses: dict[int, bytes] = {}

    def joining(number: int, kind: int, address: bytes, server: bytes) -> bytes | None:
        if kind == OFFER:
            return frame(number, REQUEST, asked=address, server=server)
        addresses[number] = address
        return None

    def renewing(number: int, kind: int, address: bytes, _: bytes) -> bytes | None:
        if kind == NAK or address != addresses[number]:
            wrong.append(number)
        return None

    wrong: list[int] = []
    began = time.monotonic()
    _, missed = everyone(wire, count, lambda number: frame(number, DISCOVER), joining)
    joined = time.monotonic() - began
    held = [number for number in range(1, count + 1) if number in addresses]
    took, lost = (
        everyone(wire, len(held), lambda n: frame(n, REQUEST, own=addresses[n]), renewing) if held else ({}, [])
    )
    result = {
        "addresses": {name(number): socket.inet_ntoa(address) for number, address in addresses.items()},
        "joined": joined,
        "renewals": [seconds * 1000 for seconds in took.values()],
        "lost": len(missed) + len(lost) + len(wrong),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
