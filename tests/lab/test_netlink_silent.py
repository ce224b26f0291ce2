"""What the kernel does without saying so, and devices that come and go: the watcher finds out."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Interface, IPv6Address, IPv6Network

import pytest

from agent.events import RouteGone
from tests.lab.netns import Namespace, netns, until
from tests.lab.watching import WAN, settles, sh, watching

pytestmark = pytest.mark.lab


def test_the_peer_of_a_veth_elsewhere_is_no_parent(ns: Namespace) -> None:
    with netns("b") as other:
        ns.sh(f"ip link add wan type veth peer name isp netns {other.name}")

        async def main() -> None:
            async with watching() as fold:
                wan = fold.state.link("wan")
                assert wan is not None
                assert (wan.kind, wan.parent, wan.up, wan.carrier) == ("veth", None, False, False)
                await sh("ip link set wan up")
                await until(lambda: bool((link := fold.state.link("wan")) and link.up))
                wan = fold.state.link("wan")
                assert wan is not None
                assert not wan.carrier
                await asyncio.to_thread(other.sh, "ip link set isp up")
                await until(lambda: bool((link := fold.state.link("wan")) and link.carrier))
                await asyncio.to_thread(other.sh, "ip link set isp down")
                await until(lambda: not ((link := fold.state.link("wan")) and link.carrier))
                await sh(f"ip link set wan netns {other.name}")
                await until(lambda: fold.state.link("wan") is None)

        ns.run(main)


def test_ipv4_routes_that_vanish_silently_with_their_link(ns: Namespace) -> None:
    ns.sh(
        WAN
        + """
        ip route add 198.51.100.0/24 via 192.0.2.1; ip route add default via 192.0.2.1 table 1001 proto 98
    """
    )

    async def main() -> None:
        async with watching() as fold:
            assert fold.has("198.51.100.0/24")
            await sh("ip link set wan down")
            await until(lambda: not fold.has("198.51.100.0/24") and not fold.has("0.0.0.0/0"))
            await settles(fold)

    ns.run(main)


def test_ipv4_routes_that_vanish_silently_with_their_source(ns: Namespace) -> None:
    ns.sh(
        WAN
        + """
        ip address add 203.0.113.1/32 dev wan; ip route add 198.51.100.0/24 via 192.0.2.1 src 203.0.113.1
        ip -6 address add 2001:db8::2/64 dev wan nodad; ip -6 route add 2001:db8:9::/48 dev wan src 2001:db8::2
    """
    )

    async def main() -> None:
        async with watching() as fold:
            assert fold.has("198.51.100.0/24")
            await sh("ip address del 203.0.113.1/32 dev wan")
            await until(lambda: not fold.has("198.51.100.0/24"))
            six = IPv6Network("2001:db8:9::/48")
            assert [r.source for r in fold.state.routes if r.destination == six] == [IPv6Address("2001:db8::2")]
            await sh("ip -6 address del 2001:db8::2/64 dev wan")
            await until(lambda: [r.source for r in fold.state.routes if r.destination == six] == [None])
            await settles(fold)

    ns.run(main)


def test_a_replaced_route_is_gone(ns: Namespace) -> None:
    ns.sh(
        WAN
        + """
        ip route add default via 192.0.2.1; ip -6 route add default via fe80::1 dev wan
    """
    )

    async def main() -> None:
        async with watching() as fold:
            await sh("ip route replace default via 192.0.2.9; ip -6 route replace default via fe80::9 dev wan")

            def gateways() -> set[str]:
                return {str(r.gateway) for r in fold.state.routes if r.destination.prefixlen == 0}

            await until(lambda: gateways() == {"192.0.2.9", "fe80::9"})
            assert fold.watcher.dumps == 1
            assert sum(isinstance(event, RouteGone) for event in fold.events) == 2
            # Two routes of one key: which one a replacement takes away, only a dump can tell.
            await sh("ip route append default via 192.0.2.7; ip route replace default via 192.0.2.5")
            await until(lambda: fold.watcher.dumps == 2)
            await settles(fold)

    ns.run(main)


def test_a_device_comes_back_under_its_name(ns: Namespace) -> None:
    def make(index: int) -> str:
        return f"""ip link add wan index {index} type veth peer name wanp; ip link set wanp up; ip link set wan up
            ip address add 192.0.2.2/24 dev wan; ip route add default via 192.0.2.1"""

    ns.sh(make(100))

    async def main() -> None:
        async with watching() as fold:
            assert fold.link("wan") == 100
            await sh("ip link del wan; " + make(200))
            await until(
                lambda: fold.state.link("wan") is not None and fold.link("wan") == 200 and fold.has("0.0.0.0/0")
            )
            assert {a.index for a in fold.state.addresses.values() if isinstance(a.ip, IPv4Interface)} == {1, 200}
            await settles(fold)

    ns.run(main)
