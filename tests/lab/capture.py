"""Captures packets inside a node: who sent what to whom, and when."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.lab.node import Node
from tests.lab.wait import wait_for

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_FRAGMENT = 44


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet. `time`: CLOCK_MONOTONIC, seconds, stamped by the kernel.

    `source_port` and `destination_port` are 0 where there are none; for ICMP `kind` and `code` are type and code.
    `payload` is what follows the UDP or ICMP header (for TCP: from the header on), `data` the whole frame. The
    checksums of packets of this machine's own may be unfinished: the network cards of a lab are promised to do it.
    """

    time: float
    interface: str
    outgoing: bool
    source_mac: str
    destination_mac: str
    source: str
    destination: str
    protocol: str
    source_port: int
    destination_port: int
    kind: int
    code: int
    payload: bytes
    data: bytes

    def __str__(self) -> str:
        ports = f" {self.source_port}>{self.destination_port}" if self.source_port else f" {self.kind}/{self.code}"
        way = "out" if self.outgoing else "in"
        return f"{self.time:.6f} {self.interface} {way} {self.source} > {self.destination} {self.protocol}{ports}"


def parse(data: bytes, stamp: float, interface: str, *, outgoing: bool) -> Packet | None:
    """The IP packet in an Ethernet frame, None if there is none."""
    if len(data) < 34:
        return None
    ethertype = int.from_bytes(data[12:14])
    if ethertype == 0x0800:
        source, destination = (socket.inet_ntop(socket.AF_INET, data[i : i + 4]) for i in (26, 30))
        protocol, offset = data[23], 14 + (data[14] & 15) * 4
    elif ethertype == 0x86DD and len(data) >= 54:
        source, destination = (socket.inet_ntop(socket.AF_INET6, data[i : i + 16]) for i in (22, 38))
        protocol, offset = data[20], 54
        if protocol in {0, _FRAGMENT} and len(data) > offset + 8:  # hop-by-hop (as MLD has), fragment
            length = 8 if protocol == _FRAGMENT else 8 + data[offset + 1] * 8
            protocol, offset = data[offset], offset + length
    else:
        return None
    macs = (data[6:12].hex(":"), data[:6].hex(":"))
    name = _PROTOCOLS.get(protocol, str(protocol))
    transport = data[offset:]
    ports, kind, code = (0, 0), 0, 0
    if name in {"tcp", "udp"} and len(transport) >= 4:
        ports = struct.unpack_from("!HH", transport)
    elif name in {"icmp", "icmp6"} and len(transport) >= 2:
        kind, code = transport[0], transport[1]
    payload = transport if name == "tcp" else transport[8:]
    where = (source, destination, name)
    return Packet(stamp, interface, outgoing, *macs, *where, ports[0], ports[1], kind, code, payload, data)


class Capture:
    """Captures on an interface of a node (None: on all) from entering the context to leaving it.

    `wanted` sees every packet and keeps those for which it returns True; it runs in the capturing thread.

        with Capture(lab.nodes["internet"], "eth0", lambda p: p.protocol == "udp") as capture:
            ...
            packet = capture.wait(lambda p: p.source.startswith("2001:db8:a200:"))
    """

    def __init__(
        self, node: Node, interface: str | None = None, wanted: Callable[[Packet], bool] = lambda _: True
    ) -> None:
        self._node = node
        self._interface = interface
        self._wanted = wanted
        self._packets: list[Packet] = []
        self._stop = -1
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._read, name=f"capture {node.name}", daemon=True)

    def __enter__(self) -> Self:
        self._socket = self._node.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((self._interface or "", ETH_P_ALL))
        self._stop = os.eventfd(0)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        os.close(self._stop)
        if self._socket:
            self._socket.close()

    def _read(self) -> None:
        assert self._socket is not None
        while True:
            ready, _, _ = select.select([self._socket, self._stop], [], [])
            if self._socket not in ready:  # all that came before the stop has been read
                return
            data, ancillary, _, address = self._socket.recvmsg(65535, 64)
            # The kernel stamps by the wall clock; both clocks are read now, so a step in between is the only error.
            seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
            stamp = seconds * 10**9 + nanoseconds - time.time_ns() + time.monotonic_ns()
            packet = parse(data, stamp / 1e9, address[0], outgoing=address[2] == PACKET_OUTGOING)
            if packet and self._wanted(packet):
                self._packets.append(packet)

    @property
    def packets(self) -> list[Packet]:
        """Those captured so far, in order."""
        return self._packets.copy()

    def _after(self, position: int) -> Iterator[Packet]:
        """Those from `position` on; the list only grows."""
        while position < len(self._packets):
            yield self._packets[position]
            position += 1

    def find(self, wanted: Callable[[Packet], bool]) -> Packet | None:
        """The first packet like that so far."""
        return next(filter(wanted, self._after(0)), None)

    def wait(self, wanted: Callable[[Packet], bool], timeout: float = 10.0, what: str = "") -> Packet:
        """Wait for a packet like that, captured already or yet to come. Raises TimedOut."""
        seen = 0  # each packet is looked at once, however often this polls

        def find() -> Packet | None:
            nonlocal seen
            for packet in self._after(seen):
                seen += 1
                if wanted(packet):
                    return packet
            return None

        return wait_for(find, timeout, lambda: f"{what or 'a packet'}; {self.summary()}")

    def sources(self, protocol: str | None = None, *, since: float = 0.0) -> set[str]:
        """Source addresses of what came in from `since` on (CLOCK_MONOTONIC), of one protocol or of all."""
        return {p.source for p in self.packets if not p.outgoing and p.time >= since and protocol in {None, p.protocol}}

    def summary(self, last: int = 10) -> str:
        """The last packets, one a line, for messages."""
        packets = self.packets
        return f"{len(packets)} packets captured, the last:\n" + "\n".join(map(str, packets[-last:]))
