"""Ending connections in a real kernel: exactly those named go, a real TCP connection beside them lives on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address, ip_network

import pytest
from pyroute2.netlink.nfnetlink.nfctsocket import AsyncNFCTSocket

from agent.desired import FlowEnd
from agent.drivers.conntrack import Conntrack, ConntrackError
from agent.model import TcpFlow
from tests.lab.netns import Namespace, netns

pytestmark = pytest.mark.lab

# Flows of the router itself, from internal addresses on its loopback, translated at `wan`: by the first port digit
# the mark and the translated source are chosen.
RULES = """
table inet t {
    chain marks { type filter hook output priority mangle
        udp dport 1000-1999 ct mark set 0x101
        udp dport 2000-2999 ct mark set 0x102
        tcp dport 7 ct mark set 0x102
    }
    chain translate { type nat hook postrouting priority srcnat
        oifname wan ip saddr 10.0.0.0/8 udp dport 1000-1499 snat ip to 192.0.2.2
        oifname wan ip saddr 10.0.0.0/8 udp dport 1500-2999 snat ip to 192.0.2.3
        oifname wan ip saddr 10.0.0.0/8 tcp dport 7 snat ip to 192.0.2.2
        oifname wan ip6 saddr fd10::/16 snat ip6 to 2001:db8::2
    }
}
"""


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with ExitStack() as stack:
        router, outside = stack.enter_context(netns()), stack.enter_context(netns("o"))
        outside.sh(f"""
            ip link add isp type veth peer name wan netns {router.name}
            ip link set isp address 02:00:00:00:00:01 up; ip address add 192.0.2.1/24 dev isp
            ip address add 2001:db8::1/64 dev isp nodad
        """)
        router.sh(f"""
            ip address add 10.1.0.1/32 dev lo; ip address add 10.2.0.1/32 dev lo
            ip address add fd10:1::1/128 dev lo nodad; ip address add fd10:2::1/128 dev lo nodad
            ip link set wan up; ip address add 192.0.2.2/24 dev wan; ip address add 192.0.2.3/24 dev wan
            ip address add 2001:db8::2/64 dev wan nodad
            nft -f - <<'EOF'\n{RULES}\nEOF
        """)
        server = outside.call(echo_server)
        stack.callback(server.close)
        stack.callback(server.shutdown, socket.SHUT_RDWR)
        yield router


def echo_server() -> socket.socket:
    """Listens on TCP port 7."""
    server = socket.create_server(("192.0.2.1", 7))
    server.settimeout(10)
    return server


def send(source: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((source, 0))
        udp.sendto(b"x", ("2001:db8::1" if ":" in source else "192.0.2.1", port))


def open_flows() -> None:
    for source in ("10.1.0.1", "10.2.0.1", "192.0.2.2", "fd10:1::1", "fd10:2::1"):
        for port in (1000, 1500, 2000, 3000):
            send(source, port)


async def flows() -> set[tuple[str, int]]:
    """Original source and destination port of each UDP and TCP connection: an independent reading."""
    found = set()
    for family, name in ((socket.AF_INET, "V4"), (socket.AF_INET6, "V6")):
        async with AsyncNFCTSocket(nfgen_family=family) as conntrack:  # type: ignore[no-untyped-call]
            async for entry in await conntrack.dump():
                original = entry.get_attr("CTA_TUPLE_ORIG")
                ports = original.get_attr("CTA_TUPLE_PROTO")
                source = original.get_attr("CTA_TUPLE_IP").get_attr(f"CTA_IP_{name}_SRC")
                if ports.get_attr("CTA_PROTO_NUM") in PROTOCOLS and source is not None:
                    found.add((source, ports.get_attr("CTA_PROTO_DST_PORT")))
    return found


PROTOCOLS = (socket.IPPROTO_UDP, socket.IPPROTO_TCP)
FOUR = ("10.1.0.1", "10.2.0.1", "192.0.2.2")
SIX = ("fd10:1::1", "fd10:2::1")
PORTS = (1000, 1500, 2000, 3000)
NETS = (ip_network("10.1.0.0/16"),)
KEPT = frozenset({ip_address("192.0.2.2")})
ALL = {(source, port) for source in FOUR + SIX for port in PORTS}


@pytest.mark.parametrize(
    ("flow", "gone", "counted"),
    [
        # A mark, in one family; the mask hides the bit that others use.
        (FlowEnd(4, mark=1), {(s, p) for s in FOUR for p in (1000, 1500)}, False),
        (FlowEnd(6, mark=2), {(s, 2000) for s in SIX}, False),
        (FlowEnd(4, mark=1, mask=0xFFFF), set(), False),
        # The uplink still has 192.0.2.2: what is translated to 192.0.2.3 ends, what is not translated stays.
        (
            FlowEnd(4, translated_source_not_in=KEPT),
            {(s, p) for s in ("10.1.0.1", "10.2.0.1") for p in (1500, 2000)},
            True,
        ),
        (FlowEnd(4, mark=2, translated_source_not_in=KEPT), {("10.1.0.1", 2000), ("10.2.0.1", 2000)}, True),
        (FlowEnd(6, translated_source_not_in=frozenset()), {(s, p) for s in SIX for p in PORTS}, True),
        # By the original source, and only where translated (port 3000 is not).
        (FlowEnd(4, sources=NETS), {("10.1.0.1", p) for p in (1000, 1500, 2000)}, True),
        (FlowEnd(6, sources=(ip_network("fd10:2::/64"), *NETS)), {("fd10:2::1", p) for p in PORTS}, True),
        (FlowEnd(4, mark=1, translated_source_not_in=KEPT, sources=NETS), {("10.1.0.1", 1500)}, True),
        (FlowEnd(4, sources=()), set(), True),
        # By the original source, translated or not.
        (FlowEnd(4, inside=NETS), {("10.1.0.1", p) for p in PORTS}, True),
        (FlowEnd(4, mark=1, inside=NETS), {("10.1.0.1", p) for p in (1000, 1500)}, True),
        (FlowEnd(6, mark=2, inside=(ip_network("fd10:2::/64"),)), {("fd10:2::1", 2000)}, True),
    ],
)
def test_exactly_those_named_go(ns: Namespace, flow: FlowEnd, gone: set[tuple[str, int]], counted: bool) -> None:
    async def main() -> None:
        open_flows()
        assert await flows() == ALL
        ended = await Conntrack().end((flow,))
        assert await flows() == ALL - gone
        assert ended == (len(gone) if counted else 0)
        assert await Conntrack().end((flow,)) == 0  # nothing is left to end

    ns.run(main)


def test_several_at_once(ns: Namespace) -> None:
    async def main() -> None:
        open_flows()
        assert await Conntrack().end((FlowEnd(4, mark=1), FlowEnd(4, sources=NETS))) == 1
        gone = {(s, p) for s in FOUR for p in (1000, 1500)} | {("10.1.0.1", 2000)}
        assert await flows() == ALL - gone
        assert await Conntrack().end(()) == 0

    ns.run(main)


def test_a_connection_beside_them_lives_on_and_one_among_them_ends(ns: Namespace) -> None:
    """A real TCP connection: its entry survives the end of others, and is gone when it is meant."""

    async def main() -> None:
        open_flows()
        with socket.create_connection(("192.0.2.1", 7), source_address=("10.1.0.1", 0), timeout=5) as client:
            connection = ("10.1.0.1", 7)
            assert await flows() == ALL | {connection}
            await Conntrack().end((FlowEnd(4, mark=1), FlowEnd(4, translated_source_not_in=KEPT)))
            assert connection in await flows()
            client.sendall(b"still here")
            assert await Conntrack().end((FlowEnd(4, mark=2, sources=NETS),)) == 1
            assert connection not in await flows()

    ns.run(main)


def test_open_tcp_connections_among_them_are_named(ns: Namespace) -> None:
    async def main() -> None:
        open_flows()
        with socket.create_connection(("192.0.2.1", 7), source_address=("10.1.0.1", 0), timeout=5) as client:
            source, port = client.getsockname()
            flow = TcpFlow(ip_address(source), port, ip_address("192.0.2.1"), 7)
            named = FlowEnd(4, mark=2, inside=NETS, reset=True)
            assert await Conntrack().tcp((named,)) == (flow,)
            assert await Conntrack().tcp((FlowEnd(4, mark=2, reset=True), named)) == (flow,)
            assert await Conntrack().tcp((FlowEnd(4, mark=2), FlowEnd(4, mark=1, reset=True))) == ()
            assert await Conntrack().end((named,)) == 2, "and a datagram's"
            assert await Conntrack().tcp((named,)) == ()

    ns.run(main)


def test_a_thousand_do_not_block_the_loop(ns: Namespace) -> None:
    async def main() -> None:
        for port in range(1500, 2500):
            send("10.1.0.1", port)
        worst = 0.0
        loop = asyncio.get_running_loop()
        start = loop.time()
        ending = asyncio.create_task(Conntrack().end((FlowEnd(4, translated_source_not_in=KEPT),)))
        while not ending.done():
            before = loop.time()
            await asyncio.sleep(0)
            worst = max(worst, loop.time() - before)
        taken = loop.time() - start
        assert ending.result() == 1000
        assert await flows() == set()
        print(f"1000 connections ended in {taken * 1e3:.0f} ms; the loop's worst turn {worst * 1e3:.2f} ms")
        assert worst < 0.1

    ns.run(main)


def test_a_flow_without_criteria_is_refused(ns: Namespace) -> None:
    async def main() -> None:
        open_flows()
        with pytest.raises(ConntrackError, match="would end every connection"):
            await Conntrack().end((FlowEnd(4, mark=1), FlowEnd(4)))
        assert await flows() == ALL

    ns.run(main)
