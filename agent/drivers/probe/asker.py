"""Questions of one packet: an echo request, an ARP request, a neighbour solicitation. One socket a kind."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from agent.desired.probe import FamilyProbes, Target, TargetKind
from agent.drivers.probe import packet, sockets
from agent.model import IPAddress

_BROADCAST: Final = b"\xff" * 6
_LARGEST: Final = 2048
_BATCH: Final = 64
_COOKIE: Final = 8  # bytes of payload that only we know

# What was answered: a sequence number of ours, or a next hop that has no such numbers.
Answered = Callable[[int | IPAddress], None]


@dataclass(slots=True)
class Packets:
    """Asks by packets through one device. `answered` is called in the loop for each answer."""

    device: str
    index: int
    probes: FamilyProbes
    answered: Answered
    _open: dict[TargetKind, socket.socket] = field(default_factory=dict)
    _identifier: int = field(default_factory=lambda: int.from_bytes(os.urandom(2)))
    _cookie: bytes = field(default_factory=lambda: os.urandom(_COOKIE))
    _macs: dict[IPAddress, bytes] = field(default_factory=dict)

    def ask(self, target: Target, sequence: int, *, again: bool) -> None:
        """Send a question. `again`: the one before it was not answered. Raises OSError."""
        asked = self._open.get(target.kind)
        if asked is None:
            asked = self._open[target.kind] = self._opened(target.kind)
            asyncio.get_running_loop().add_reader(asked, self._receive, asked, target.kind)
        try:
            self._send(asked, target, sequence, again=again)
        except OSError:
            self._close(target.kind)  # the device or its address is another one
            raise

    def nudge(self, target: Target) -> None:
        """Let the kernel ask for a next hop: it does so when it has a packet to send there. Raises OSError.

        The solicitations of IPv6 are sent by way of the kernel's own entry, ARP requests are not.
        """
        if isinstance(target.address, IPv4Address):
            data = packet.echo_request(4, self._identifier, 0, self._cookie)
            with sockets.icmp(
                4, self.device, self.probes.source, ()
            ) as mute:  # whether it answers an echo is no matter
                mute.sendto(data, (str(target.address), 0))

    def close(self) -> None:
        """Close all sockets."""
        for kind in list(self._open):
            self._close(kind)

    def _close(self, kind: TargetKind) -> None:
        made = self._open.pop(kind)
        asyncio.get_running_loop().remove_reader(made)
        made.close()

    def _opened(self, kind: TargetKind) -> socket.socket:
        family = self.probes.family
        if kind == "echo":
            return sockets.icmp(family, self.device, self.probes.source, [packet.ECHO_REPLY[family]])
        return sockets.arp(self.device) if family == 4 else sockets.discovery(self.device)  # noqa: PLR2004

    def _send(self, asked: socket.socket, target: Target, sequence: int, *, again: bool) -> None:
        family, address = self.probes.family, target.address
        if target.kind == "echo":
            data = packet.echo_request(family, self._identifier, sequence & 0xFFFF, self._cookie)
            asked.sendto(data, (str(address), 0))
        elif isinstance(address, IPv4Address) and isinstance(self.probes.source, IPv4Address):
            data = packet.arp_request(sockets.mac_of(self.device), self.probes.source, address)
            to = _BROADCAST if again else self._macs.get(address, _BROADCAST)
            asked.sendto(data, (self.device, sockets.ETHERTYPE_ARP, 0, 0, to))
        elif isinstance(address, IPv6Address):
            data = packet.solicitation(address, sockets.mac_of(self.device))
            asked.sendto(data, (str(address), 0, 0, self.index if address.is_link_local else 0))

    def _receive(self, asked: socket.socket, kind: TargetKind) -> None:
        for _ in range(_BATCH):
            try:
                data = asked.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # what became of an earlier question; it is told once
            self._take(data, kind)

    def _take(self, data: bytes, kind: TargetKind) -> None:
        if kind == "echo":
            echo = packet.read_echo(self.probes.family, data)
            if echo is not None and (echo.identifier, echo.payload) == (self._identifier, self._cookie):
                self.answered(echo.sequence)
        elif self.probes.family == 4:  # noqa: PLR2004
            reply = packet.read_arp(data)
            # Others on the link may claim any number of addresses.
            if reply is not None and any(reply[0] == target.address for target in self.probes.targets):
                self._macs[reply[0]] = reply[1]
                self.answered(reply[0])
        else:
            target = packet.read_advertisement(data)
            if target is not None:
                self.answered(target)
