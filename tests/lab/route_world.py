"""One namespace with an uplink, and a route driver in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from agent.drivers.route import RouteDriver
from agent.model import State
from tests.lab.netns import Namespace, netns

WAN = """
    ip link add wan type veth peer name wanp; ip link set wanp up; ip link set wan up
    ip address add 192.0.2.2/24 dev wan; ip -6 address add fd00::2/64 dev wan nodad
"""
LAST = 4294967295


@contextmanager
def uplink() -> Iterator[Namespace]:
    """A namespace with `wan` up and addressed in both families."""
    with netns() as space:
        space.sh(WAN)
        yield space


def run(ns: Namespace, main: Callable[[RouteDriver], Awaitable[None]]) -> None:
    async def body() -> None:
        driver = RouteDriver()
        try:
            await main(driver)
        finally:
            await driver.aclose()

    ns.run(body)


def index(state: State) -> int:
    link = state.link("wan")
    assert link is not None
    return link.index
