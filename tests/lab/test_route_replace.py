"""Routes that change, and things of others in their way: no hole, no stray next hop, nothing foreign touched."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

import pytest
from pyroute2.netlink import rtnl

from agent.desired import WantedAddress
from agent.drivers.netlink.layout import messages
from agent.drivers.netlink.routing import routes
from agent.drivers.route import RouteDriver, RouteError, Wanted
from agent.model import Route, State
from tests.lab.netns import Namespace, until
from tests.lab.route_world import LAST, index, run, uplink
from tests.lab.watching import fresh, sh, watching

pytestmark = pytest.mark.lab


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with uplink() as space:
        yield space


@contextmanager
def told_routes() -> Iterator[list[tuple[int, Route]]]:
    """What the kernel tells of routes meanwhile: its messages' types and routes, in order."""
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    listener.bind((0, rtnl.RTMGRP_IPV4_ROUTE | rtnl.RTMGRP_IPV6_ROUTE))
    listener.setblocking(False)
    told: list[tuple[int, Route]] = []
    try:
        yield told
        with suppress(BlockingIOError):
            while True:
                data = listener.recv(65536)
                for kind, _, start, end in messages(data):
                    told += [(kind, route) for route in routes(data, start, end)]
    finally:
        listener.close()


@pytest.mark.parametrize("family", [4, 6])
def test_a_changed_route_is_replaced_without_a_hole(ns: Namespace, family: int) -> None:
    """Nothing but the new route is told by the kernel: no deletion, and no second next hop beside it."""
    network = ip_network("0.0.0.0/0" if family == 4 else "::/0")
    gateways = [ip_address(g) for g in (("192.0.2.8", "192.0.2.9") if family == 4 else ("fe80::8", "fe80::9"))]

    async def main(driver: RouteDriver) -> None:
        wan = index(await fresh())
        first, second = (Route(network, wan, gateway, table=1001, metric=7) for gateway in gateways)
        last = Route(network, table=1001, metric=LAST, kind="unreachable")
        await driver.add(Wanted(routes=frozenset({first, last})), await fresh())
        with told_routes() as told:
            state = await fresh()
            unreachable = Route(network, table=1001, metric=7, kind="unreachable")
            device = Route(network, wan, table=1001, metric=7)  # what is deleted by less than all of it, in IPv6
            changes = (second, first, second, device, second, unreachable, first)
            for route in changes:
                wanted = Wanted(routes=frozenset({route, last}))
                await driver.add(wanted, state)
                await driver.remove(wanted, state)
                state = await fresh()
                assert {r for r in state.routes if r.table == 1001 and r.destination == network} == wanted.routes
        assert told == [(rtnl.RTM_NEWROUTE, r) for r in changes]

    run(ns, main)


@pytest.mark.parametrize("kind", ["unicast", "unreachable"])
def test_of_two_routes_in_one_place_the_wanted_one_stays(ns: Namespace, kind: str) -> None:
    """IPv6 lets several in, and does not compare the kind when it deletes."""

    async def main(driver: RouteDriver) -> None:
        await sh("""
            ip -6 route add fd0a::/48 via fe80::8 dev wan metric 5 proto 98
            ip -6 route append unreachable fd0a::/48 metric 5 proto 98
        """)
        state = await fresh()
        place = {route.kind: route for route in state.routes if route.destination == ip_network("fd0a::/48")}
        assert place.keys() == {"unicast", "unreachable"}
        wanted = Wanted(routes=frozenset({place[kind]}))
        await driver.add(wanted, state)
        await driver.remove(wanted, state)
        after = await fresh()
        assert [r for r in after.routes if r.destination == ip_network("fd0a::/48")] == [place[kind]]

    run(ns, main)


@pytest.mark.parametrize("network", ["10.7.0.0/16", "fd07::/48"])
def test_a_foreign_route_in_our_place_stays(ns: Namespace, network: str) -> None:
    async def main(driver: RouteDriver) -> None:
        await sh("ip route add 10.7.0.0/16 via 192.0.2.1 metric 5; ip route add fd07::/48 via fd00::1 metric 5")
        state = await fresh()
        gateway = ip_address("192.0.2.7" if "." in network else "fd00::7")
        route = Route(ip_network(network), index(state), gateway, metric=5)
        other = Route(ip_network("10.8.0.0/16"), index(state), ip_address("192.0.2.1"))
        with pytest.raises(RouteError, match=f"{network} .* already there, of protocol 3 and not ours"):
            await driver.add(Wanted(routes=frozenset({route, other})), state)
        # A state that has not seen it yet does not make the driver touch it either.
        await driver.add(Wanted(routes=frozenset({route})), State())
        await driver.remove(Wanted(), await fresh())
        after = await fresh()
        assert after.routes == state.routes

    run(ns, main)


def test_an_address_of_somebody_else_stays(ns: Namespace) -> None:
    async def main(driver: RouteDriver) -> None:
        state = await fresh()
        wan = index(state)
        await driver.add(Wanted(addresses=frozenset({WantedAddress(wan, ip_interface("192.0.2.2/24"))})), state)
        await driver.remove(Wanted(), await fresh())
        after = await fresh()
        assert (wan, IPv4Interface("192.0.2.2/24")) in after.addresses
        assert (wan, IPv6Interface("fd00::2/64")) in after.addresses

    run(ns, main)


def test_many_routes_in_one_go(ns: Namespace) -> None:
    async def main(driver: RouteDriver) -> None:
        state = await fresh()
        wan = index(state)
        routes = frozenset(
            Route(ip_network(f"10.{n // 250}.{n % 250}.0/24"), wan, ip_address("192.0.2.1"), table=1001)
            for n in range(1000)
        )
        await driver.add(Wanted(routes=routes), state)
        state = await fresh()
        assert {route for route in state.routes if route.table == 1001} == routes
        await driver.remove(Wanted(), state)
        assert not [route for route in (await fresh()).routes if route.table == 1001]

    run(ns, main)


def test_one_changed_route_takes_less_than_a_millisecond(ns: Namespace) -> None:
    async def main(driver: RouteDriver) -> None:
        async with watching() as fold:
            wan = index(fold.state)
            routes = [Route(ip_network("::/0"), wan, ip_address(f"fe80::{n}"), table=1001, metric=7) for n in (8, 9)]
            await driver.add(Wanted(routes=frozenset({routes[0]})), fold.state)
            taken = []
            for turn in range(60):
                wanted = Wanted(routes=frozenset({routes[turn % 2]}))
                await until(lambda turn=turn: turn == 0 or routes[(turn + 1) % 2] in fold.state.routes)  # type: ignore[misc]
                before = time.perf_counter()
                await driver.add(wanted, fold.state)
                await driver.remove(wanted, fold.state)
                taken.append(time.perf_counter() - before)
            print(f"one changed route, ms: median {statistics.median(taken) * 1e3:.3f}, worst {max(taken) * 1e3:.3f}")
            assert statistics.median(taken) < 0.001

    run(ns, main)
