"""The route driver against a real kernel: what is wanted becomes true, what is foreign is never touched."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

import pytest
from pyroute2.netlink import rtnl

from agent.desired import WantedAddress, WantedLink
from agent.drivers.netlink.layout import messages
from agent.drivers.netlink.message import routes
from agent.drivers.route import RouteDriver, RouteError, Wanted
from agent.model import PROTOCOL_OURS, Neighbour, PolicyRule, Route, State
from tests.lab.netns import Namespace, netns, until
from tests.lab.watching import fresh, sh, watching

pytestmark = pytest.mark.lab

WAN = """
    ip link add wan type veth peer name wanp; ip link set wanp up; ip link set wan up
    ip address add 192.0.2.2/24 dev wan; ip -6 address add fd00::2/64 dev wan nodad
"""
LAST = 4294967295


@pytest.fixture
def ns() -> Iterator[Namespace]:
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


def everything(wan: int) -> Wanted:
    """Every kind of thing that a plan has."""
    return Wanted(
        links=(WantedLink("wan", mac="02:00:00:00:00:77", mtu=1400),),
        addresses=frozenset({
            WantedAddress(wan, ip_interface("10.99.0.1/24")),
            WantedAddress(wan, ip_interface("fd01::1/64"), nodad=True),
            WantedAddress(wan, ip_interface("fe80::1/64"), nodad=True),
        }),
        routes=frozenset({
            Route(ip_network("0.0.0.0/0"), wan, ip_address("10.99.0.9"), table=1001),
            Route(ip_network("0.0.0.0/0"), table=1001, metric=LAST, kind="unreachable"),
            Route(ip_network("::/0"), wan, ip_address("fe80::9"), table=1001),
            Route(ip_network("::/0"), table=1001, metric=LAST, kind="unreachable"),
            Route(ip_network("fd02::/48"), table=254, metric=LAST, kind="unreachable"),
            Route(ip_network("198.51.100.0/24"), wan, ip_address("10.99.0.9"), source=ip_address("10.99.0.1")),
            Route(ip_network("203.0.113.7/32"), wan, ip_address("203.0.113.1"), onlink=True, metric=5),
            Route(ip_network("fd03::/64"), wan),
            Route(ip_network("10.5.0.0/16"), wan),
        }),
        rules=frozenset({
            PolicyRule(4, 100, 254, suppress_prefixlength=0),
            PolicyRule(6, 100, 254, suppress_prefixlength=0),
            PolicyRule(4, 201, 1001, fwmark=1, fwmask=0xFF),
            PolicyRule(6, 201, 1001, fwmark=1),
            PolicyRule(6, 202, 1001, source=ip_network("fd02::/48")),
        }),
        neighbours=frozenset({
            Neighbour(wan, ip_address("10.99.0.9"), "02:00:00:00:00:09"),
            Neighbour(wan, ip_address("fe80::9"), "02:00:00:00:00:09"),
        }),
    )  # fmt: skip


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


def index(state: State) -> int:
    link = state.link("wan")
    assert link is not None
    return link.index


def ours(state: State) -> set[object]:
    found: set[object] = {r for r in state.routes if r.protocol == PROTOCOL_OURS}
    found |= {r for r in state.rules if r.protocol == PROTOCOL_OURS}
    found |= {(a.index, a.ip) for a in state.addresses.values() if a.protocol == PROTOCOL_OURS}
    return found | {n.ip for n in state.neighbours.values() if n.protocol == PROTOCOL_OURS}


def test_everything_comes_and_goes_again(ns: Namespace) -> None:
    foreign = """
        ip route add 172.16.0.0/12 via 192.0.2.1 proto static; ip -6 route add fd09::/48 via fd00::9 proto dhcp
        ip rule add fwmark 9 lookup 99 priority 900; ip neighbour add 192.0.2.50 lladdr 02:00:00:00:00:50 dev wan
    """

    async def main(driver: RouteDriver) -> None:
        await sh(foreign)
        before = await fresh()
        wan = index(before)
        wanted = everything(wan)
        await driver.add(replace(wanted, links=()), before)
        there = await fresh()
        assert there.addresses.keys() - before.addresses.keys() == {(wan, a.ip) for a in wanted.addresses}
        assert {r.destination for r in ours(there) if isinstance(r, Route)} == {r.destination for r in wanted.routes}
        for route in wanted.routes:
            metric = route.metric or (1024 if route.destination.version == 6 else 0)
            assert replace(route, metric=metric) in there.routes
        assert {r for r in there.rules if r.protocol == PROTOCOL_OURS} == {
            replace(r, fwmask=0xFFFFFFFF) if r.fwmark and not r.fwmask else r for r in wanted.rules
        }
        for neighbour in wanted.neighbours:
            assert there.neighbours[(wan, neighbour.ip)] == replace(neighbour, protocol=PROTOCOL_OURS)

        # Once more: nothing to do, and nothing is ours that is not wanted.
        await driver.add(replace(wanted, links=()), there)
        await driver.remove(wanted, there)
        assert ours(await fresh()) == ours(there)

        await driver.remove(Wanted(), there)
        after = await fresh()
        assert ours(after) == set()
        assert (after.addresses.keys(), after.routes, after.rules) == (
            before.addresses.keys(),
            before.routes,
            before.rules,
        )
        assert (wan, ip_address("192.0.2.50")) in after.neighbours

    run(ns, main)


def test_an_apply_that_finds_nothing_to_do_sends_nothing(ns: Namespace) -> None:
    async def main(driver: RouteDriver) -> None:
        state = await fresh()
        wanted = everything(index(state))
        await driver.add(wanted, state)
        await until_mac("02:00:00:00:00:77")
        # The MAC went down and up: what went with it comes with the next apply.
        await driver.add(wanted, await fresh())
        settled = await fresh()

        async def refuse(_: object) -> list[object]:
            raise AssertionError("a request was sent")

        driver._requests.send = refuse  # type: ignore[assignment,method-assign]
        await driver.add(wanted, settled)
        await driver.remove(wanted, settled)

    async def until_mac(mac: str) -> None:
        async with watching() as fold:
            await until(lambda: bool((link := fold.state.link("wan")) and link.mac == mac and link.carrier))

    run(ns, main)


def test_a_link_takes_mac_and_mtu(ns: Namespace) -> None:
    async def main(driver: RouteDriver) -> None:
        state = await fresh()
        await driver.add(Wanted(links=(WantedLink("wan", mac="02:00:00:00:00:AA", mtu=1300),)), state)
        async with watching() as fold:
            await until(
                lambda: any(str(a.ip.ip) == "fe80::ff:fe00:aa" for a in fold.state.addresses_of(index(fold.state)))
            )
            link = fold.state.link("wan")
            assert link is not None
            assert (link.mac, link.mtu, link.up) == ("02:00:00:00:00:aa", 1300, True)
            # The link-local address of the old MAC is gone: down, set, up.
            locals_ = [a for a in fold.state.addresses_of(link.index) if a.ip.ip.is_link_local]
            assert len(locals_) == 1

    run(ns, main)


def test_a_vlan_link_is_made_or_its_lack_is_told(ns: Namespace) -> None:
    """This kernel may lack 802.1Q; then the problem says so, and everything else is done all the same."""

    async def main(driver: RouteDriver) -> None:
        state = await fresh()
        wan = index(state)
        wanted = Wanted(
            links=(WantedLink("home", parent=wan, vlan=10, mtu=1400),),
            addresses=frozenset({WantedAddress(wan, ip_interface("10.99.0.1/24"))}),
        )
        try:
            await driver.add(wanted, state)
        except RouteError as error:
            assert "make VLAN 10 as home" in str(error)  # noqa: PT017 - either end is right
            assert "8021q" in error.hint  # noqa: PT017
        else:
            link = (await fresh()).link("home")
            assert link is not None
            assert (link.kind, link.vlan, link.parent, link.mtu, link.up) == ("vlan", 10, wan, 1400, True)
            await driver.add(Wanted(links=(replace(wanted.links[0], vlan=11),)), await fresh())
            link = (await fresh()).link("home")
            assert link is not None
            assert link.vlan == 11
            await driver.remove(replace(wanted, links=()), await fresh())
            assert (await fresh()).link("home") is None
        assert (wan, IPv4Interface("10.99.0.1/24")) in (await fresh()).addresses

    run(ns, main)


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


def test_problems_are_told_together_after_all_else_was_done(ns: Namespace) -> None:
    async def main(driver: RouteDriver) -> None:
        state = await fresh()
        wan = index(state)
        wanted = Wanted(
            addresses=frozenset({WantedAddress(9999, ip_interface("10.1.0.1/24"))}),
            routes=frozenset({
                Route(ip_network("10.2.0.0/16"), wan, ip_address("172.31.0.1")),
                Route(ip_network("10.3.0.0/16"), wan, ip_address("192.0.2.1")),
            }),
            rules=frozenset({PolicyRule(4, 201, 1001, fwmark=1, fwmask=0xFF)}),
        )  # fmt: skip
        with pytest.raises(RouteError) as raised:
            await driver.add(wanted, state)
        messages = [problem.message for problem in raised.value.problems]
        assert len(messages) == 2
        assert messages[0].startswith("add address 10.1.0.1/24 on interface 9999: ")
        assert messages[1].startswith("add unicast route 10.2.0.0/16 via 172.31.0.1 in table 254: ")
        assert "gateway" in raised.value.hint
        after = await fresh()
        assert Route(ip_network("10.3.0.0/16"), wan, ip_address("192.0.2.1")) in after.routes
        assert any(rule.priority == 201 for rule in after.rules)

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


def test_the_socket_is_opened_anew_after_an_error(ns: Namespace) -> None:
    async def main(driver: RouteDriver) -> None:
        state = await fresh()
        route = Route(ip_network("10.3.0.0/16"), index(state), ip_address("192.0.2.1"))
        await driver.add(Wanted(routes=frozenset({route})), state)
        assert driver._requests._socket is not None
        driver._requests._socket.socket.detach()  # the descriptor is lost under us
        with pytest.raises(OSError, match="Bad file descriptor"):
            await driver.remove(Wanted(), await fresh())
        await driver.remove(Wanted(), await fresh())
        assert route not in (await fresh()).routes

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
