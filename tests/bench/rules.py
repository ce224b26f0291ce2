"""What a packet costs in softirq under 5,000 rules over 20 zones, against 20 rules: the ratio.

    a (n1) ── fw ── b (n2)        n3 … n19 and the DMZ are zones without a link

Every packet begins a connection (UDP, a source port of its own) and is accepted by the last rule of its pair of zones:
those of a connection that stands never come to the rules. Both rulesets are loaded in turn, so that a busy machine
disturbs both alike.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TypeAlias

from agent.config import Settings, load
from agent.model import Link, State
from agent.plan.firewall import plan_firewall
from agent.render import render_ruleset
from tests.bench.report import Figure, figure
from tests.lab.netns import Namespace, netns

ZONES, RULES, FEW = 20, 5000, 20
PACKETS, TRIES, ROUNDS = 20_000, 5, 9
NETWORKS = ZONES - 1
TARGET = "10.2.0.250"
PORT = 7777
# A rule by its number, its destination's network, and a host in that.
Kind: TypeAlias = Callable[[int, int, int], str]


def plain(number: int, destination: int, host: int) -> str:
    """Hosts and ports; each tenth a subnet and a service."""
    if number % 10 == 0:
        return f"to: 10.{destination}.3.{host % 16 * 16}/28, service: [https, dns], action: accept"
    return f"to: 10.{destination}.1.{host + 1}, udp: {number % 60000 + 1}, action: accept"


def mixed(number: int, destination: int, host: int) -> str:
    """What people write: hosts, subnets, ranges of ports, lists, limits, pings, drops between the accepts."""
    subnet, port = f"10.{destination}.{3 + host // 16}.{host % 16 * 16}/28", number % 50000 + 1
    return (
        f"to: 10.{destination}.1.{host + 1}, udp: {port}, action: accept",
        f"to: {subnet}, service: [https, dns], action: accept",
        f"to: 10.{destination}.1.{host + 1}, tcp: {port}, action: drop",
        f"to: {subnet}, udp: {port}-{port + 9}, action: accept",
        f"to: 10.{destination}.1.{host + 1}, tcp: [{port}-{port + 500}, {port + 600}], action: accept",
        f"to: n{destination}, tcp: {port}, limit: 100/s burst 100, action: accept",
        f"to: {subnet}, action: reject",
        f"to: 10.{destination}.1.{host + 1}, icmp: echo-request, action: accept",
        f"to: bad, udp: {port}, action: drop",
        f"to: [10.{destination}.1.{host + 1}, {subnet}], service: ssh, log: true, action: accept",
    )[number % 10]


def settings(count: int, what: Kind = plain, *, one_pair: bool = False) -> Settings:
    """So many rules; the last is the one that is measured. `one_pair`: all of its pair of zones."""
    lines = []
    for number in range(count - 1):
        source = 1 if one_pair else number % NETWORKS + 1
        destination = 2 if one_pair else (source + number // NETWORKS) % NETWORKS + 1
        host = number % 250 if one_pair else number // (NETWORKS * NETWORKS)
        lines.append(f"  - {{ from: 10.{source}.2.{host + 1}, {what(number, destination, host)} }}")
    lines.append(f"  - {{ from: 10.1.0.10, to: {TARGET}, udp: {PORT}, action: accept }}")
    networks = [f"  n{n}: {{ subnet: {n:#x}, ipv4: 10.{n}.0.1/16 }}" for n in range(1, ZONES)]
    dmz = "  dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.99 } }"
    text = "\n".join(
        (
            "site: { name: big, prefix: 'fd4b:9ca2:1d70::/48' }",
            "bus: { host: 10.98.0.1, password_file: p, users_file: u }",
            "networks:",
            *networks,
            dmz,
            "uplinks: { kpn: { kind: dhcp } }",
            "lists: { bad: { addresses: [10.2.9.0/28, 10.3.9.0/28, 203.0.113.0/28] } }",
            "rules:",
            *lines,
            "",
        )
    )
    with TemporaryDirectory() as directory:
        path = Path(directory, "router.yaml")
        path.write_text(text)
        return load(path, {})


def script(count: int, what: Kind = plain) -> str:
    """The ruleset of so many rules."""
    found = settings(count, what)
    links = {n: Link(n, name, up=True, carrier=True) for n, name in enumerate(found.networks, 2)}
    return render_ruleset(plan_firewall(found, State(synced=True, links=MappingProxyType(links)), 0.0).nft).skeleton


def wire(fw: Namespace, a: Namespace, b: Namespace) -> None:
    """Two hosts, each on a network of its own."""
    fw.sh("sysctl -qw net.ipv4.ip_forward=1")
    for n, space, own in ((1, a, "10.1.0.10"), (2, b, TARGET)):
        fw.sh(f"ip link add n{n} type veth peer name eth0 netns {space.name}; ip link set n{n} up")
        fw.sh(f"ip addr add 10.{n}.0.1/16 dev n{n}")
        space.sh(f"ip link set eth0 up; ip addr add {own}/16 dev eth0; ip route add default via 10.{n}.0.1")
    b.sh("nft 'table inet x { chain y { type filter hook prerouting priority raw; udp dport 7777 counter drop; }; }'")


def flood(first: int) -> float:
    """Seconds of CPU a packet, each of its own source port, so a new connection.

    veth hands a packet on within its sender's call, so the softirqs of all three run on this thread's account; as a
    real-time thread it is not interrupted, and nothing is left to ksoftirqd.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.connect((TARGET, 0))
        packets = [_packet(first + number) for number in range(PACKETS)]
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        try:
            before = time.thread_time()
            for packet in packets:
                raw.send(packet)
            return (time.thread_time() - before) / PACKETS
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _packet(number: int) -> bytes:
    port, identity = number % 60000 + 1024, number % 65536
    header = bytes([0x45, 0, 0, 29]) + identity.to_bytes(2, "big") + bytes([0, 0, 64, 17, 0, 0])
    addresses = socket.inet_aton("10.1.0.10") + socket.inet_aton(TARGET)
    return header + addresses + port.to_bytes(2, "big") + PORT.to_bytes(2, "big") + bytes([0, 9, 0, 0, 0])


def load_rules(fw: Namespace, text: str) -> None:
    """Load a ruleset, and forget all connections."""
    done = fw.call(lambda: subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False))
    assert done.returncode == 0, done.stderr
    fw.sh("conntrack -F 2>/dev/null")


def passed(fw: Namespace, count: int) -> int:
    """Packets that the measured rule has accepted."""
    return int(fw.sh(f"nft list counter inet router rule_{count}").split("packets ")[1].split()[0])


def cost(fw: Namespace, a: Namespace) -> float:
    """Seconds a packet costs behind its sender: what it costs when it is dropped before it leaves is taken away."""
    found = []
    for _ in range(TRIES):
        fw.sh("conntrack -F 2>/dev/null")
        found.append(a.call(lambda: flood(0)))
    a.sh("nft 'table netdev stop { chain out { type filter hook egress device eth0 priority 0; policy drop; }; }'")
    sending = min(a.call(lambda: flood(0)) for _ in range(TRIES))
    a.sh("nft delete table netdev stop")
    return min(found) - sending


def rules_5000() -> tuple[Figure, Figure]:
    """The ratio of the two costs: of hosts and ports, and of all that people write."""
    return figure("rules-5000", "ratio", [_ratio(plain)]), figure("rules-5000-mixed", "ratio", [_ratio(mixed)])


def _ratio(what: Kind) -> float:
    """The median of the rounds."""
    ratios = []
    with netns("fw") as fw, netns("a") as a, netns("b") as b:
        wire(fw, a, b)
        scripts = {count: script(count, what) for count in (RULES, FEW)}
        for number in range(ROUNDS):
            found = {}
            for count, text in scripts.items() if number % 2 else reversed(scripts.items()):
                load_rules(fw, text)
                found[count] = cost(fw, a)
                assert passed(fw, count) == TRIES * PACKETS
            ratios.append(found[RULES] / found[FEW])
    return median(ratios)
