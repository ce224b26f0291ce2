"""The watcher against a real kernel: whatever happens, the folded events equal a fresh dump."""

from __future__ import annotations

import socket
import statistics
import struct
import time
from functools import partial
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address

import pytest
from pyroute2.netlink import rtnl

from agent.events import LinkGone, NeighbourChanged, RouteChanged
from agent.model import Address, PolicyRule, Route, State
from tests.lab.netns import Namespace, until
from tests.lab.watching import WAN, fresh, grown, settles, sh, watching

pytestmark = pytest.mark.lab


def test_first_dump_reads_every_table(ns: Namespace) -> None:
    ns.sh("""
        ip link add wan type veth peer name wanp; ip link set wanp up
        ip link set wan address 02:00:00:00:00:01 mtu 1492 up
        ip address add 192.0.2.2/24 dev wan; ip address add 2001:db8::2/64 dev wan nodad valid_lft 600 preferred_lft 300
        ip route add 198.51.100.0/24 via 192.0.2.1 src 192.0.2.2 metric 7 proto 98 table 1001
        ip route add 203.0.113.0/24 via 203.0.113.9 dev wan onlink
        ip -6 route add unreachable 2001:db8:1::/48 proto dhcp metric 4294967295
        ip rule add fwmark 1/0xff lookup 1001 priority 201 protocol 98
        ip -6 rule add lookup main suppress_prefixlength 0 priority 100
        ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:09 dev wan nud permanent
    """)

    async def main() -> None:
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        async with watching() as fold:
            state = fold.state
            wan = state.link("wan")
            assert wan is not None
            assert (wan.mac, wan.permanent_mac, wan.mtu) == ("02:00:00:00:00:01", "02:00:00:00:00:01", 1492)
            assert (wan.up, wan.carrier, wan.kind, wan.parent) == (True, True, "veth", None)
            lo = state.link("lo")
            assert lo is not None
            assert lo.mac == ""

            four = state.addresses[(wan.index, IPv4Interface("192.0.2.2/24"))]
            assert (four.valid_until, four.preferred_until) == (None, None)
            six = state.addresses[(wan.index, IPv6Interface("2001:db8::2/64"))]
            assert before - 30 < six.created <= before
            assert six.valid_until == pytest.approx(six.created + 600, abs=0.02)
            assert six.preferred_until == pytest.approx(six.created + 300, abs=0.02)

            assert state.routes >= {
                Route(IPv4Network("192.0.2.0/24"), wan.index, protocol=2, source=four.ip.ip),
                Route(
                    IPv4Network("198.51.100.0/24"),
                    wan.index,
                    gateway=ip_address("192.0.2.1"),
                    source=ip_address("192.0.2.2"),
                    table=1001,
                    metric=7,
                ),
                Route(
                    IPv4Network("203.0.113.0/24"),
                    wan.index,
                    gateway=ip_address("203.0.113.9"),
                    protocol=3,
                    onlink=True,
                ),
                Route(IPv6Network("2001:db8:1::/48"), kind="unreachable", protocol=16, metric=4294967295),
            }
            assert not [r for r in state.routes if r.table == 255 or r.destination.is_multicast]
            assert state.rules >= {
                PolicyRule(4, 201, 1001, fwmark=1, fwmask=0xFF),
                PolicyRule(6, 100, 254, suppress_prefixlength=0, protocol=0),
            }
            neighbour = state.neighbours[(wan.index, ip_address("192.0.2.1"))]
            assert (neighbour.mac, neighbour.state) == ("02:00:00:00:00:09", "permanent")

    ns.run(main)


def test_deadlines_do_not_move_between_two_readings(ns: Namespace) -> None:
    ns.sh(WAN + "ip -6 address add 2001:db8::2/64 dev wan valid_lft 600 preferred_lft 300 nodad")

    def address(state: State) -> Address:
        return next(a for a in state.addresses.values() if a.valid_until is not None)

    async def main() -> None:
        first = address(await fresh())
        await until(lambda: "valid_lft 600sec" not in ns.sh("ip -6 address show dev wan"))  # a second has passed
        assert address(await fresh()) == first

    ns.run(main)


def test_changes_are_told_as_they_come(ns: Namespace) -> None:
    ns.sh("ip link add wan type veth peer name wanp; ip link set wanp up; ip link set wan up")

    async def main() -> None:
        async with watching() as fold:
            wan = fold.link("wan")
            await sh("ip -6 route add unreachable 2001:db8:1::/48 proto dhcp; ip addr add 192.0.2.2/24 dev wan")
            await until(lambda: fold.has("2001:db8:1::/48") and fold.has("192.0.2.0/24"))
            await sh("ip -6 route del unreachable 2001:db8:1::/48; ip rule add fwmark 3 lookup 1003 priority 203")
            await until(lambda: not fold.has("2001:db8:1::/48") and any(r.priority == 203 for r in fold.state.rules))
            await sh("ip link add link wan.name home type vlan id 10 || ip link add link wan name home type macvlan")
            await until(lambda: fold.state.link("home") is not None)
            home = fold.state.link("home")
            assert home is not None
            assert home.parent == wan
            assert (home.kind, home.vlan) in {("vlan", 10), ("macvlan", None)}
            await sh("ip link del home")
            await until(lambda: fold.state.link("home") is None)
            assert LinkGone(home.index) in fold.events
            await settles(fold)

    ns.run(main)


def test_neighbours_are_told_when_mac_or_state_changes(ns: Namespace) -> None:
    ns.sh(WAN)

    async def main() -> None:
        async with watching() as fold:

            def told() -> list[str]:
                mine = [e.neighbour for e in fold.events if isinstance(e, NeighbourChanged)]
                return [f"{n.state} {n.mac[-1:]}" for n in mine if n.ip.version == 4]

            entry = "ip neighbour replace 192.0.2.1 dev wan lladdr 02:00:00:00:00:0"
            await sh(f"{entry}1 nud reachable; {entry}1 nud stale; {entry}1 nud stale")
            await sh(f"{entry}2 nud permanent; ip neighbour del 192.0.2.1 dev wan")
            await until(lambda: not [n for n in fold.state.neighbours.values() if n.ip.version == 4])
            assert told()[:3] == ["reachable 1", "stale 1", "permanent 2"]

    ns.run(main)


def test_an_event_is_told_within_a_millisecond(ns: Namespace) -> None:
    ns.sh(WAN)

    async def main() -> None:
        kernel = socket.socket(16, socket.SOCK_RAW, 0)
        prefix = IPv6Network("2001:db8:1::/48")

        def request(kind: int, flags: int) -> bytes:
            body = struct.pack("=BBBBBBBBI", 10, 48, 0, 0, 254, 16, 0, 7, 0)
            body += struct.pack("=HH", 20, 1) + prefix.network_address.packed
            return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body

        async with watching() as fold:
            delays = []
            for _ in range(100):
                told = len(fold.events)
                before = time.perf_counter()
                kernel.send(request(rtnl.RTM_NEWROUTE, 0x601))
                await until(partial(grown, fold.events, told))
                assert fold.events[-1] == RouteChanged(Route(prefix, protocol=16, kind="unreachable", metric=1024))
                delays.append(fold.times[told] - before)
                kernel.send(request(rtnl.RTM_DELROUTE, 0x1))
                await until(partial(grown, fold.events, told + 1))
            print(
                f"route add to event, ms: median {statistics.median(delays) * 1e3:.3f}, worst {max(delays) * 1e3:.3f}"
            )
            assert statistics.median(delays) < 0.001
        kernel.close()

    ns.run(main)
