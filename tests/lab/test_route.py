"""The route driver against a real kernel: what is wanted becomes true, and goes again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, ip_address, ip_interface, ip_network

import pytest

from agent.desired import WantedAddress, WantedLink
from agent.drivers.route import RouteDriver, RouteError, Wanted
from agent.model import PROTOCOL_OURS, Neighbour, PolicyRule, Route, State
from tests.lab.netns import Namespace, until
from tests.lab.route_world import LAST, index, run, uplink
from tests.lab.watching import fresh, sh, watching

pytestmark = pytest.mark.lab


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with uplink() as space:
        yield space


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


def test_the_socket_is_opened_anew_after_an_error(ns: Namespace) -> None:
    async def main(driver: RouteDriver) -> None:
        state = await fresh()
        route = Route(ip_network("10.3.0.0/16"), index(state), ip_address("192.0.2.1"))
        await driver.add(Wanted(routes=frozenset({route})), state)
        assert driver._requests._raw is not None
        driver._requests._raw.detach()  # the descriptor is lost under us
        with pytest.raises(OSError, match="Bad file descriptor"):
            await driver.remove(Wanted(), await fresh())
        await driver.remove(Wanted(), await fresh())
        assert route not in (await fresh()).routes

    run(ns, main)
