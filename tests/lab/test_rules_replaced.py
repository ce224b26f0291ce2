"""While the rules are replaced nothing passes that they forbid, by whatever look-up they forbid it.

a (n1) ── fw ── b (n2)     a floods b; each packet begins a connection
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from agent.config import load
from agent.desired import Ruleset
from agent.drivers.nft import Nft
from agent.model import Link, State
from agent.plan.firewall import plan_firewall
from agent.render import render_ruleset
from tests.lab.netns import Namespace, netns
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
TIMES = 40
CONFIG = """
site: { name: small, prefix: "fd00:1:2::/48" }
bus: { host: 10.98.0.1, password_file: p, users_file: u }
networks:
  n1: { subnet: 1, ipv4: 10.1.0.1/16 }
  n2: { subnet: 2, ipv4: 10.2.0.1/16 }
  dmz: { subnet: 0x99, ipv4: 10.99.0.1/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.99 } }
uplinks: { kpn: { kind: dhcp } }
lists: { bad: { addresses: [10.1.0.0/28, 10.1.1.0/28, 10.1.2.0/28, LAST] } }
rules:
"""
ACCEPT = "  - { from: n1, to: n2, action: accept }\n"
FLOOD = """
import socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    raw.connect(("10.2.0.10", 0))
    ends = socket.inet_aton("10.1.0.10") + socket.inet_aton("10.2.0.10")
    packets = [
        bytes([0x45, 0, 0, 29, port >> 8, port & 255, 0, 0, 64, 17, 0, 0]) + ends
        + struct.pack("!HHHH", port, 7777, 9, 0) + b"x"
        for port in range(1024, 61024)
    ]
    while True:
        for packet in packets:
            raw.send(packet)
"""


def ruleset(directory: Path, rules: str, last: str = "10.1.9.9") -> Ruleset:
    path = directory / "router.yaml"
    path.write_text(CONFIG.replace("LAST", last) + rules)
    settings = load(path, {})
    links = {number: Link(number, name, up=True, carrier=True) for number, name in enumerate(settings.networks, 2)}
    state = State(synced=True, links=MappingProxyType(links))
    return render_ruleset(plan_firewall(settings, state, 0.0).nft)


STREAM = """
import select, socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    sent = 0
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        sent += udp.sendto(b"x", ("10.2.0.10", 7778))
    print(sent)
"""


class Spaces(NamedTuple):
    """The namespaces: the firewall, and a host on each side."""

    fw: Namespace
    a: Namespace
    b: Namespace


@pytest.fixture(scope="module")
def spaces() -> Iterator[Spaces]:
    """All three; a floods b while they are there."""
    with netns("fw") as fw, netns("a") as a, netns("b") as b:
        fw.sh("sysctl -qw net.ipv4.ip_forward=1")
        for number, space in ((1, a), (2, b)):
            fw.sh(f"ip link add n{number} type veth peer name eth0 netns {space.name}; ip link set n{number} up")
            fw.sh(f"ip addr add 10.{number}.0.1/16 dev n{number}")
            space.sh(f"ip link set eth0 up; ip addr add 10.{number}.0.10/16 dev eth0")
            space.sh(f"ip route add default via 10.{number}.0.1")
        for table, port in (("flood", 7777), ("stream", 7778)):
            count = f"type filter hook prerouting priority raw; udp dport {port} counter drop;"
            b.sh(f"nft 'table inet {table} {{ chain seen {{ {count} }}; }}'")
        flood = a.popen(sys.executable, "-c", FLOOD, stdout=subprocess.DEVNULL)
        yield Spaces(fw, a, b)
        flood.kill()
        flood.wait()


def arrived(b: Namespace, what: str = "flood") -> int:
    """Packets that came to b so far."""
    return int(b.sh(f"nft list table inet {what}").split("counter packets ")[1].split()[0])


def leaked(spaces: Spaces, rulesets: list[Ruleset]) -> int:
    """Packets that pass while one ruleset after the other is loaded."""
    fw, _, b = spaces

    async def main() -> int:
        nft = Nft()
        try:
            await nft.apply(rulesets[0])
            # What passed under other rules is no new connection.
            await asyncio.to_thread(fw.sh, "conntrack -F 2>/dev/null")
            before = arrived(b)
            for each in rulesets:
                await nft.apply(each)
            return arrived(b) - before
        finally:
            await nft.aclose()

    return fw.run(main)


def test_the_flood_arrives_where_it_may(spaces: Spaces, tmp_path: Path) -> None:
    leaked(spaces, [ruleset(tmp_path, ACCEPT)])
    before = arrived(spaces.b)
    wait_for(lambda: arrived(spaces.b) > before + 1000, 20, "the flood to pass")


@pytest.mark.parametrize(
    "rules",
    [
        "  - { from: bad, to: n2, action: drop }\n" + ACCEPT,
        "  - { from: [10.1.0.0/28, 10.1.1.0/28], to: n2, action: drop }\n" + ACCEPT,
        "  - { from: n1, to: n2, udp: [7777, 7000-7010], action: drop }\n" + ACCEPT,
        "  - { from: n1, to: n2, when: { from: '00:00', to: '23:59' }, action: drop }\n"
        "  - { from: n1, to: n2, when: { from: '23:59', to: '00:00' }, action: drop }\n" + ACCEPT,
        "  - { from: n2, to: n1, action: accept }\n",
    ],
    ids=["list", "prefixes", "ports", "hours", "no rule"],
)
def test_nothing_forbidden_passes_while_the_rules_are_replaced(spaces: Spaces, tmp_path: Path, rules: str) -> None:
    wanted = ruleset(tmp_path, rules)
    assert leaked(spaces, [replace(wanted, skeleton=f"{wanted.skeleton}# {number}\n") for number in range(TIMES)]) == 0


def test_nothing_forbidden_passes_while_a_list_changes(spaces: Spaces, tmp_path: Path) -> None:
    rules = "  - { from: bad, to: n2, action: drop }\n" + ACCEPT
    both = ruleset(tmp_path, rules), ruleset(tmp_path, rules, "10.1.0.16/28")
    assert both[0].skeleton == both[1].skeleton, "elements alone differ"
    assert leaked(spaces, [both[number % 2] for number in range(4 * TIMES)]) == 0


def test_a_stream_that_nobody_answers_goes_on(spaces: Spaces, tmp_path: Path) -> None:
    wanted = ruleset(tmp_path, ACCEPT)
    leaked(spaces, [wanted])
    stream = spaces.a.popen(sys.executable, "-c", STREAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for(lambda: arrived(spaces.b, "stream"), 20, "the stream to begin")
    leaked(spaces, [replace(wanted, skeleton=f"{wanted.skeleton}# {number}\n") for number in range(TIMES)])
    sent = int(stream.communicate("stop\n", timeout=20)[0])
    came = arrived(spaces.b, "stream")
    assert came > 0.9 * sent, f"{came} of {sent}"
