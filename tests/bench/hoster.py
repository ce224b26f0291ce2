"""A rented server with as many VMs as a /64 has room for, and 10,000 open ports: apply, one change, cost of a packet.

    a (the ingress, dmz) ── fw ── b (a VM, vms)

Half of the ports are open by rules, five by each, half because docker hosts expose them, five by each. What changes is
one more. (Bookworm's nft 1.0.6 reads all named counters before it changes an element, and each rule has one: 10,000
rules instead of 1000 cost it 40 ms, trixie's 1.1.3 nothing.)
"""

from __future__ import annotations

import os
import socket
import struct
import time
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import MappingProxyType

from agent import events as ev
from agent.config import Settings, load
from agent.desired import Plan
from agent.desired.firewall import FirewallTable
from agent.drivers.nft import Nft, whole
from agent.drivers.route import RouteDriver
from agent.model import (
    Container,
    Containers,
    Link,
    NodeState,
    Peer,
    PortSpan,
    State,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
)
from agent.plan.firewall import plan_firewall
from agent.reduce import reduce
from agent.render import render_ruleset
from tests.bench.report import Figure, figure
from tests.bench.rules import load_rules
from tests.bench.scale import _observed, _wanted
from tests.lab.netns import Namespace, netns

VMS, CONTAINERS, FEW = 4094, 1000, 1  # containers of either kind, five ports each
OPENED = (("tcp", 80), ("tcp", 443), ("tcp", 8080), ("udp", 443), ("udp", 5000))
APPLIES, CHANGES = 3, 50
PACKETS, TRIES, ROUNDS = 10_000, 4, 9
MAC = "02:00:00:00:99:0a"
OUTSIDE = "2001:db8:f::7"
NOW = 1000.0
_FIXED = """\
site: { name: rack, prefix: "2001:db8:77:1::/64" }
bus: { host: 10.98.0.1, password_file: p, users_file: u }
networks:
  dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
  vms: {}
uplinks:
  hetzner:
    kind: static
    ipv6: { address: "2001:db8:77:1:10::1/76", gateway: "fe80::1", prefix: "2001:db8:77:1::/64" }
"""


def settings(vms: int, containers: int) -> Settings:
    """So many VMs, and containers with a rule each."""
    lines = [_FIXED, "docker_hosts:"]
    for n in range(2, vms + 2):
        mac = f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}"
        lines.append(f'  vm{n}: {{ network: vms, index: {n:#x}, mac: "{mac}", may_expose: {{ tcp: 1-999, udp: 53 }} }}')
    lines.append("hosts:")
    lines += [f'  c{n}: {{ docker_host: vm{n % vms + 2}, suffix: "::{n // vms + 16:x}" }}' for n in range(containers)]
    lines += ["rules:", "  - { from: vms, to: internet, action: accept }"]
    ports = ", ".join(f"{word}: [{', '.join(str(p) for w, p in OPENED if w == word)}]" for word in ("tcp", "udp"))
    lines += [f"  - {{ from: internet, to: c{n}, {ports}, action: accept }}" for n in range(containers)]
    with TemporaryDirectory() as directory:
        path = Path(directory, "router.yaml")
        path.write_text("\n".join((*lines, "")))
        return load(path, {})


def peers(found: Settings, containers: int) -> dict[str, Peer]:
    """The ingress, and so many docker hosts with a container that asks for five ports."""
    known = {"hetzner": hetzner()}
    spans = tuple(PortSpan("tcp", number, number) for number in range(100, 105))
    for name in list(found.docker_hosts)[:containers]:
        own = found.docker_containers(name)
        assert own is not None
        said = Containers((Container("app", (own[0x99],), spans),))
        known[name] = Peer(state=NodeState("ready", "x"), containers=said)
    return known


def hetzner() -> Peer:
    """The ingress as it says itself."""
    link = UplinkLink(
        carrier=True, mtu=1500, ipv4=IPv4Address("10.99.0.10"), link_local=IPv6Address("fe80::a"), mac=MAC
    )
    six = UplinkIPv6("routed", (IPv6Interface("2001:db8:77:1:10::1/76"),))
    return Peer(link=link, ipv4=UplinkIPv4(IPv4Interface("192.0.2.136/26")), ipv6=six)


def _links(space: Namespace) -> None:
    space.sh("sysctl -qw net.ipv6.conf.all.forwarding=1")
    for name in ("dmz", "vms"):
        space.sh(f"ip link add {name} up type veth peer name p{name}; ip link set p{name} up")


async def _apply(nft: Nft, route: RouteDriver, found: Settings, state: State, now: float) -> Plan:
    """The steps of an apply up to the one that moves traffic."""
    plan = plan_firewall(found, state, now)
    ruleset = render_ruleset(plan.nft)
    await nft.close(ruleset)
    await route.add(_wanted(plan), state)
    await nft.apply(ruleset)
    return plan


async def _first(found: Settings) -> float:
    """Seconds from what is known to all of it in a kernel that has nothing yet."""
    nft, route = Nft(), RouteDriver()
    state = replace(await _observed(), peers=MappingProxyType(peers(found, CONTAINERS)))
    start = time.monotonic()
    plan = await _apply(nft, route, found, state, NOW)
    took = time.monotonic() - start
    there = await _observed()
    assert len(there.neighbours) >= VMS
    assert sum(r.gateway is not None for r in there.routes) >= VMS
    table = plan.nft
    assert isinstance(table, FirewallTable)
    assert sum(len(exposed.ports) for exposed in table.exposed) == 5 * CONTAINERS
    await nft.aclose()
    await route.aclose()
    return took


def hoster_apply() -> Figure:
    """Seconds of plan and apply, from a configuration that is loaded."""
    samples = []
    for _ in range(APPLIES):
        found = settings(VMS, CONTAINERS)  # anew: nothing of the run before is remembered
        with netns() as space:
            _links(space)
            samples.append(space.run(partial(_first, found)))
    return figure("hoster-apply", "s", samples)


async def _changes(found: Settings) -> list[float]:
    nft, route = Nft(), RouteDriver()
    vm = f"vm{VMS}"
    state = replace(await _observed(), peers=MappingProxyType(peers(found, CONTAINERS)))
    state = reduce(state, ev.FactReceived(vm, "state", NodeState("ready", "x"), None), NOW)
    plan = await _apply(nft, route, found, state, NOW)
    state = replace(await _observed(), peers=state.peers, memory=plan.memory)
    plan = await _apply(nft, route, found, state, NOW)
    await route.remove(_wanted(plan), state)
    address = found.docker_containers(vm)
    assert address is not None
    web = Container("web", (address[0x80],), (PortSpan("tcp", 443, 443),))
    samples = []
    for run in range(CHANGES):
        said = Containers((web,) if run % 2 == 0 else ())
        start = time.monotonic()
        state = reduce(state, ev.FactReceived(vm, "containers", said, None), NOW)
        plan = await _apply(nft, route, found, state, NOW)
        await route.remove(_wanted(plan), state)
        samples.append((time.monotonic() - start) * 1000)
        state = replace(state, memory=plan.memory)
    await nft.aclose()
    await route.aclose()
    return samples


def hoster_change() -> Figure:
    """Milliseconds from a docker host's word to its port open or closed."""
    with netns() as space:
        _links(space)
        return figure("hoster-change", "ms", space.run(partial(_changes, settings(VMS, CONTAINERS))))


# --- the cost of a packet -----------------------------------------------------------------------------------------


def script(found: Settings, containers: int) -> str:
    """The ruleset, in a kernel with these two links."""
    links = {n: Link(n, name, up=True, carrier=True) for n, name in ((2, "dmz"), (3, "vms"))}
    state = State(synced=True, links=MappingProxyType(links), peers=MappingProxyType(peers(found, containers)))
    return whole(render_ruleset(plan_firewall(found, state, NOW).nft))


def _mac(space: Namespace, device: str) -> bytes:
    return bytes.fromhex(space.sh(f"cat /sys/class/net/{device}/address").strip().replace(":", ""))


def _frame(macs: bytes, source: str, target: str, source_port: int, target_port: int) -> bytes:
    ends = IPv6Address(source).packed + IPv6Address(target).packed
    header = struct.pack("!HHIIBBHHH", source_port, target_port, 7, 0, 5 << 4, 2, 1024, 0, 0)
    total = sum(struct.unpack("!30H", ends + struct.pack("!II", len(header), 6) + header))
    total = (total & 0xFFFF) + (total >> 16)
    check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    header = header[:16] + struct.pack("!H", check) + header[18:]
    return macs + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(header), 6, 64) + ends + header


def flood(frames: list[bytes]) -> float:
    """Seconds of CPU a frame, on the account of this real-time thread: see tests/bench/rules.py."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        try:
            before = time.thread_time()
            for frame in frames:
                raw.send(frame)
            return (time.thread_time() - before) / len(frames)
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _wire(fw: Namespace, a: Namespace, b: Namespace, target: str) -> None:
    fw.sh("sysctl -qw net.ipv6.conf.all.forwarding=1")
    for name, space, mac in (("dmz", a, MAC), ("vms", b, "02:00:00:00:00:02")):
        fw.sh(f"ip link add {name} type veth peer name eth0 address {mac} netns {space.name}; ip link set {name} up")
        space.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set eth0 up")
        hook = "type filter hook ingress device eth0 priority 0"
        space.sh(f"nft 'table netdev x {{ chain y {{ {hook}; ip6 nexthdr tcp counter drop; }}; }}'")
    fw.sh(f"ip -6 neigh add {target} lladdr 02:00:00:00:00:02 dev vms; ip -6 route add {target} dev vms")
    fw.sh(f"ip -6 neigh add fe80::a lladdr {MAC} dev dmz; ip -6 route add default via fe80::a dev dmz table 1001")
    fw.sh("ip -6 rule add priority 100 lookup main suppress_prefixlength 0")
    fw.sh("ip -6 rule add priority 201 fwmark 1/0xff lookup 1001; ip -6 route add unreachable 2001:db8:77:1::/64")


def _received(space: Namespace) -> int:
    return int(space.sh("nft list table netdev x").split("packets ")[1].split()[0])


def _cost(fw: Namespace, device: str, space: Namespace, frames: list[bytes]) -> float:
    """Seconds a frame costs in `fw` and behind it: what it costs when it is dropped on arrival is taken away."""
    found = []
    for _ in range(TRIES):
        fw.sh("conntrack -F 2>/dev/null")
        found.append(space.call(lambda: flood(frames)))
    hook = f"type filter hook ingress device {device} priority -500"
    fw.sh(f"nft 'table netdev stop {{ chain on {{ {hook}; policy drop; }}; }}'")
    sending = min(space.call(lambda: flood(frames)) for _ in range(TRIES))
    fw.sh("nft delete table netdev stop")
    return min(found) - sending


def hoster_packet() -> Figure:
    """The ratio of what a new connection's packet costs, in and out, with all of them against one VM and ten ports."""
    many, few = settings(VMS, CONTAINERS), settings(FEW, FEW)
    ratios = []
    with netns("fw") as fw, netns("a") as a, netns("b") as b:
        target = str(many.host_address6("c0"))
        assert target == str(few.host_address6("c0"))
        _wire(fw, a, b, target)
        into = _mac(fw, "dmz") + bytes.fromhex(MAC.replace(":", ""))
        out = _mac(fw, "vms") + bytes.fromhex("020000000002")
        inward = [_frame(into, OUTSIDE, target, n % 60000 + 1024, 8080) for n in range(PACKETS)]
        outward = [_frame(out, target, OUTSIDE, n % 60000 + 1024, 443) for n in range(PACKETS)]
        scripts = {"many": script(many, CONTAINERS), "few": script(few, FEW)}
        for number in range(ROUNDS):
            costs = {}
            for name, text in scripts.items() if number % 2 else reversed(scripts.items()):
                load_rules(fw, text)
                before = _received(a), _received(b)
                costs[name] = _cost(fw, "dmz", a, inward) + _cost(fw, "vms", b, outward)
                assert _received(b) - before[1] == TRIES * PACKETS, "all of them came in"
                assert _received(a) - before[0] == TRIES * PACKETS, "all of them went out"
            ratios.append(costs["many"] / costs["few"])
    return figure("hoster-packet", "ratio", [median(ratios)])


if __name__ == "__main__":
    for measure in (hoster_apply, hoster_change, hoster_packet):
        print(measure())
