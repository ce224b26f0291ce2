"""What a watcher survives: overruns, interrupted dumps, lost sockets, bad messages, any order of changes."""

from __future__ import annotations

import asyncio
import random
import struct
from ipaddress import IPv4Network

import pytest

from agent.drivers.netlink import socket as netlink_socket
from agent.events import Dump
from tests.lab.netns import Namespace, until
from tests.lab.watching import WAN, settles, sh, watching

pytestmark = pytest.mark.lab


def test_an_overrun_is_healed_by_a_new_dump(ns: Namespace) -> None:
    ns.sh(WAN)
    lines = [f"route add 10.{n // 250}.{n % 250}.0/24 via 192.0.2.1" for n in range(2000)]
    lines += [f"route del 10.{n // 250}.{n % 250}.0/24" for n in range(0, 2000, 3)]

    async def main() -> None:
        async with watching(receive_buffer=4096) as fold:
            # Blocking on purpose: the loop cannot read, so the kernel's queue must overrun.
            ip = ns.popen("ip", "-batch", "-", stdin=-1)
            ip.communicate("\n".join(lines))
            assert ip.returncode == 0
            assert fold.watcher.dumps == 1
            await until(lambda: fold.watcher.dumps > 1)
            await settles(fold)
            assert (
                sum(
                    r.destination.subnet_of(IPv4Network("10.0.0.0/8"))
                    for r in fold.state.routes
                    if r.destination.version == 4
                )
                == 1333
            )
            # And it goes on hearing of changes.
            await sh("ip route add 172.16.0.0/12 via 192.0.2.1")
            await until(lambda: fold.has("172.16.0.0/12"))

    ns.run(main)


def test_a_closed_socket_is_replaced(ns: Namespace) -> None:
    ns.sh("ip link add wan type veth peer name wanp; ip link set wanp up; ip link set wan up")

    async def main() -> None:
        async with watching() as fold:
            fold.watcher._failed(OSError(9, "Bad file descriptor"))
            await sh("ip address add 192.0.2.2/24 dev wan")
            await until(lambda: fold.watcher.dumps == 2 and fold.has("192.0.2.0/24"))
            await settles(fold)

    ns.run(main)


def test_an_interrupted_dump_is_read_again(ns: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """NLM_F_DUMP_INTR put on a real dump's first reading: it is thrown away."""
    ns.sh(WAN)
    readings: list[int] = []
    received = netlink_socket.RouteSocket.enqueue

    def interrupt(self: netlink_socket.RouteSocket, data: bytes, addr: object) -> None:
        kind = struct.unpack_from("=H", data, 4)[0]
        if kind == 20 and struct.unpack_from("=H", data, 6)[0] & 2:  # RTM_NEWADDR, NLM_F_MULTI
            readings.append(kind)
            if len(readings) == 1:  # the first message says so, and the address in it is not the truth
                data = data[:6] + struct.pack("=H", 2 | 0x10) + data[8:]
                data = data.replace(bytes((192, 0, 2, 2)), bytes((192, 0, 2, 99)))
        received(self, data, addr)

    monkeypatch.setattr(netlink_socket.RouteSocket, "enqueue", interrupt)

    async def main() -> None:
        async with watching() as fold:
            assert len(readings) == 2
            assert {str(a.ip) for a in fold.state.addresses.values() if a.index != 1 and a.ip.version == 4} == {
                "192.0.2.2/24"
            }

    ns.run(main)


def test_what_happens_during_the_dump_is_told_after_it(ns: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The route comes when the routes have been read already: only its event can tell."""
    ns.sh(WAN)
    dump = netlink_socket.DumpSocket.dump

    async def late(self: netlink_socket.DumpSocket, request: int) -> list[bytes]:
        if request == netlink_socket.RTM_GETNEIGH:
            await sh("ip route replace 198.51.100.0/24 via 192.0.2.1; ip -6 route replace unreachable 2001:db8:1::/48")
        return await dump(self, request)

    monkeypatch.setattr(netlink_socket.DumpSocket, "dump", late)

    async def main() -> None:
        async with watching() as fold:
            await until(lambda: fold.has("198.51.100.0/24") and fold.has("2001:db8:1::/48"))
            assert fold.watcher.dumps == 1
            told = fold.events[0]
            assert isinstance(told, Dump)
            assert not [r for r in told.routes if r.destination == IPv4Network("198.51.100.0/24")]

    ns.run(main)


def test_links_that_come_and_go_during_dumps(ns: Namespace) -> None:
    """The kernel interrupts link dumps here by itself; every dump told is whole and the end is right."""

    async def main() -> None:
        async with watching() as fold:
            batch = "\n".join(f"link add d{n} type bridge\nlink set d{n} up\nlink del d{n // 2}x" for n in range(150))
            process = await asyncio.create_subprocess_exec(
                "ip", "-force", "-batch", "-", stdin=-1, stderr=-3
            )  # fmt: skip
            assert process.stdin is not None
            process.stdin.write(batch.encode())
            process.stdin.close()
            waiting = asyncio.create_task(process.wait())
            while not waiting.done():
                await fold.watcher.resync()
            await settles(fold)
            assert len(fold.state.links) == 151

    ns.run(main)


def test_resync_tells_a_dump_begun_after_the_call(ns: Namespace) -> None:
    async def main() -> None:
        async with watching() as fold:
            await asyncio.gather(fold.watcher.resync(), fold.watcher.resync())
            assert fold.watcher.dumps == 2
            assert isinstance(fold.events[-1], Dump)

    ns.run(main)


def test_unknown_and_malformed_messages_are_skipped(ns: Namespace) -> None:
    async def main() -> None:
        async with watching() as fold:
            told = len(fold.events)
            address = (
                struct.pack("=IHHII", 32, 20, 0, 0, 0)
                + bytes((2, 24, 0, 0, 1, 0, 0, 0))
                + struct.pack("=HHI", 99, 1, 0)
            )
            for data in (
                b"\xff" * 64,
                struct.pack("=IHHII", 16, 9999, 0, 0, 0),
                struct.pack("=IHHII", 20, 24, 0, 0, 0) + b"\2\0\0\0",
                address,
            ):
                fold.watcher._received(data)
            assert fold.watcher.skipped == 3
            assert len(fold.events) == told
            await sh("ip link add wan type veth peer name wanp; ip link set wanp up")
            await until(lambda: fold.state.link("wan") is not None)

    ns.run(main)


CHANGES = (
    ("up up up down", "link set d{d} DO"),
    ("add del", "address DO 192.0.{d}.{n}/24 dev d{d}"),
    ("add del", "address DO 2001:db8:{d}::{n}/64 dev d{d} nodad"),
    ("add replace append del", "route DO 10.{n}.0.0/16 via 192.0.{d}.1 table {t}"),
    ("add replace del", "route DO 10.9.0.0/16 via 192.0.{d}.1 src 192.0.{d}.2 metric {n}"),
    ("add replace append del", "route DO 2001:db8:{n}::/48 via fe80::{d} dev d{d} proto 98"),
    ("add replace del", "route DO unreachable 2001:db8:{n}::/56 metric {t}"),
    ("add del", "rule DO fwmark {d} lookup {t} priority 20{n}"),
    ("replace del", "neighbour DO 192.0.{d}.{n} dev d{d} lladdr 02:00:00:00:00:0{n}"),
)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_changes_folds_to_the_dump(ns: Namespace, seed: int) -> None:
    chosen = random.Random(seed)  # noqa: S311 - changes to try, no secrets
    ns.sh(
        """
        for i in 0 1 2; do
            ip link add d$i type veth peer name p$i; ip link set p$i up; ip link set d$i up
            ip address add 192.0.$i.2/24 dev d$i
        done
        """
    )
    lines = []
    for _ in range(250):
        words, template = chosen.choice(CHANGES)
        line = template.format(d=chosen.randrange(3), n=chosen.randrange(3, 8), t=1000 + chosen.randrange(3))
        lines.append(f"ip {line.replace('DO', chosen.choice(words.split()))} 2>/dev/null || :")
    script = "\n".join(lines)  # many a change is impossible: all the better

    async def main() -> None:
        async with watching() as fold:
            await sh(script)
            await settles(fold)
            assert len(fold.events) > 50

    ns.run(main)
