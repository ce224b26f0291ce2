"""Asks the routers of a link for their advertisement (RFC 4861 section 6.3.7).

The kernel asks by itself when a link comes up. It takes no route information (RFC 4191) before it is told to, and it
asks no more once it has heard any advertisement: one that came before we set that is lost for up to ten minutes.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import structlog

log = structlog.get_logger(__name__)

SOLICITATION: Final = bytes([133, 0, 0, 0, 0, 0, 0, 0])  # the kernel fills in the checksum
ALL_ROUTERS: Final = "ff02::2"
HOP_LIMIT: Final = 255
# RFC 4861 section 10: MAX_RTR_SOLICITATIONS, RTR_SOLICITATION_INTERVAL in seconds.
TIMES: Final = 3
INTERVAL: Final = 4.0


class Solicitor:
    """Sends router solicitations; holds a timer for those still to come."""

    def __init__(self) -> None:
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def ask(self, device: str, times: int = TIMES) -> None:
        """Ask on a link now, and again until it was asked `times` times; a call anew begins anew."""
        if (timer := self._timers.pop(device, None)) is not None:
            timer.cancel()
        try:
            _send(device)
        except OSError as error:
            # Its link-local address is still tentative, or the link is down: the kernel asks when it comes up.
            log.debug("cannot solicit a router", device=device, error=error.strerror)
        if times > 1:
            later = asyncio.get_running_loop().call_later
            self._timers[device] = later(INTERVAL, self.ask, device, times - 1)


def _send(device: str) -> None:
    index = socket.if_nametoindex(device)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOP_LIMIT)
        raw.sendto(SOLICITATION, socket.MSG_DONTWAIT, (ALL_ROUTERS, 0, 0, index))
