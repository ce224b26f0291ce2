"""Sends a train of numbered packets and tells what comes back: run inside a node by tests/lab/train.py.

`trainer.py PROTOCOL ADDRESS PORT INTERVAL`, PROTOCOL `udp` (to tests/lab/echo.py) or `icmp`; standard library only.
Standard output, JSON lines: `{"source", "number", "at"}` whenever the source that the echo server saw changes,
`{"sent", "received", "last"}` every 50 ms, and after the end of standard input and a moment for stragglers
`{"times": [when each was sent], "answers": [[number, when it came back, source], …]}`. Times: CLOCK_MONOTONIC, seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import time

STRAGGLERS = 0.5  # seconds
REPORT = 0.05
HEADER = struct.Struct("!8sI")
SO_RCVBUFFORCE = 33
MAGIC = b"lab-trn\n"


class Trainer:
    """One train. `icmp` numbers its echo requests in the payload too: the sequence number of ICMP has 16 bits."""

    def __init__(self, protocol: str, address: str, port: int) -> None:
        self._six = ":" in address
        family = socket.AF_INET6 if self._six else socket.AF_INET
        self._icmp = protocol == "icmp"
        if self._icmp:
            kind = socket.IPPROTO_ICMPV6 if self._six else socket.IPPROTO_ICMP
            self.socket = socket.socket(family, socket.SOCK_RAW, kind)
            self.socket.connect((address, 0))
        else:
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
            self.socket.connect((address, port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)  # a busy machine is no lossy network
        self._identifier = (os.getpid() & 0xFFFF).to_bytes(2)
        self.times: list[float] = []
        self.answers: list[tuple[int, float, str]] = []
        self._source = ""

    def send(self) -> None:
        """Send the next packet; one that the kernel refuses (no route, a lost neighbour) counts as sent and lost."""
        number = len(self.times)
        data = HEADER.pack(MAGIC, number)
        if self._icmp:
            header = struct.pack(
                "!BBHHH", 128 if self._six else 8, 0, 0, int.from_bytes(self._identifier), number & 0xFFFF
            )
            if not self._six:  # the kernel fills in the checksum of ICMPv6 only
                total = sum(struct.unpack(f"!{(len(header) + len(data)) // 2}H", header + data))
                total = (total & 0xFFFF) + (total >> 16)
                checksum = ~(total + (total >> 16)) & 0xFFFF
                header = header[:2] + checksum.to_bytes(2) + header[4:]
            data = header + data
        self.times.append(time.monotonic())
        with contextlib.suppress(OSError):
            self.socket.send(data)

    def receive(self) -> None:
        """Take in what came back."""
        while True:
            try:
                data = self.socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error for an earlier packet
                continue
            now = time.monotonic()
            if self._icmp:
                data = data if self._six else data[(data[0] & 15) * 4 :]
                if data[0] not in {0, 129} or data[4:6] != self._identifier:
                    continue
                data = data[8:]
            if len(data) < HEADER.size or data[:8] != MAGIC:
                continue
            number = HEADER.unpack_from(data)[1]
            source = data[HEADER.size :].decode().strip()
            self.answers.append((number, now, source))
            if source != self._source:
                self._source = source
                _tell({"source": source, "number": number, "at": now})

    def report(self) -> None:
        """Tell how far it is."""
        last = self.answers[-1][1] if self.answers else 0.0
        _tell({"sent": len(self.times), "received": len(self.answers), "last": last})


def _tell(fact: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def main(protocol: str, address: str, port: int, interval: float) -> None:
    """Send until standard input ends."""
    trainer = Trainer(protocol, address, port)
    due = time.monotonic()
    told = due
    end = float("inf")
    reading = [trainer.socket, sys.stdin]
    while (now := time.monotonic()) < end:
        if now >= due and end == float("inf"):
            trainer.send()
            due = max(due + interval, now - 10 * interval)  # after a stall of the machine, do not make up for all of it
        if now >= told + REPORT:
            trainer.report()
            told = now
        ready, _, _ = select.select(reading, [], [], max(0.0, min(due - time.monotonic(), REPORT)))
        if trainer.socket in ready:
            trainer.receive()
        if sys.stdin in ready and end == float("inf"):
            reading.remove(sys.stdin)
            end, due = time.monotonic() + STRAGGLERS, float("inf")
    trainer.report()
    _tell({"times": trainer.times, "answers": trainer.answers})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
