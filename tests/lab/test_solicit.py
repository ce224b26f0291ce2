"""Router solicitations, as they arrive at the other end of the link."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from agent.drivers.solicit import Solicitor
from agent.drivers.sysctl import Sysctl
from tests.lab.netns import Namespace, netns
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab

KEY = "net/ipv6/conf/dmz/accept_ra_rt_info_max_plen"
SOLICITATION = 133
ALL_ROUTERS = "ff02::2"


@pytest.fixture
def link() -> Iterator[tuple[Namespace, socket.socket]]:
    """A host whose kernel solicits no router by itself, and what a router on its link `dmz` hears."""
    with netns("host") as host, netns("router") as router:
        host.sh(f"ip link add dmz type veth peer name router netns {router.name}")
        host.sh("cd /proc/sys/net/ipv6/conf/dmz; echo 0 >accept_dad; echo 0 >router_solicitations; ip link set dmz up")
        router.sh("echo 0 >/proc/sys/net/ipv6/conf/router/accept_dad; ip link set router up")
        for space, device in ((host, "dmz"), (router, "router")):
            shown = partial(space.sh, f"ip -6 addr show dev {device} -tentative; ip link show dev {device}")
            wait_for(lambda shown=shown: {"fe80", "UP"} <= set(re.findall(r"\w+", shown())), 10, f"{device} to be up")  # type: ignore[misc]
        hears = router.call(_hears)
        with hears:
            yield host, hears


def _hears() -> socket.socket:
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    index = socket.if_nametoindex("router")
    membership = socket.inet_pton(socket.AF_INET6, ALL_ROUTERS) + index.to_bytes(4, "little")
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    raw.settimeout(10)
    return raw


def _next_solicitation(raw: socket.socket) -> tuple[str, int]:
    """Source and hop limit of the next one."""
    while True:
        message, ancillary, _, source = raw.recvmsg(2048, 64)
        if message[0] == SOLICITATION:
            return str(source[0]).partition("%")[0], int.from_bytes(ancillary[0][2], "little")


def test_routers_hear_the_question_again_and_again(link: tuple[Namespace, socket.socket]) -> None:
    host, hears = link

    async def main() -> list[tuple[str, int]]:
        Solicitor().ask("dmz", times=2)
        return [await asyncio.to_thread(_next_solicitation, hears) for _ in range(2)]

    for source, hop_limit in host.run(main):
        assert source.startswith("fe80:")
        assert hop_limit == 255  # RFC 4861 section 6.1.1: else it is ignored


def test_link_that_is_gone_is_no_error(link: tuple[Namespace, socket.socket]) -> None:
    async def main() -> None:
        Solicitor().ask("nothere", times=1)

    link[0].run(main)


def test_a_parameter_that_changed_is_told_once(link: tuple[Namespace, socket.socket]) -> None:
    def write() -> list[frozenset[str]]:
        return [Sysctl().apply(((KEY, "64"),)) for _ in range(2)]

    assert link[0].call(write) == [{KEY}, set()]
