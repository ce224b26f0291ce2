"""A VM that was taken over tries to be another: vmx of the hoster example, with frames as it likes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.lab.capture import Capture
from tests.lab.hoster_world import OUTSIDE4, OUTSIDE6, VMS, HosterWorld, address, group
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
OWN, STRANGER = VMS["vmx"][0], "02:00:00:00:66:66"
MINE = f"{group(VMS['vmx'][1], 1)}::99"
GATEWAY = f"{group(VMS['vm1'][1], 0)}::1"
ALL_NODES = ("ff02::1", "33:33:00:00:00:01")


@pytest.fixture(scope="module")
def world() -> Iterator[HosterWorld]:
    with HosterWorld() as world:
        yield world


def router_mac(world: HosterWorld) -> str:
    return world.nodes["firewall"].output(["cat", "/sys/class/net/vms/address"]).strip()


def send(world: HosterWorld, *frames: Packet) -> None:
    """Frames out of vmx as they are."""
    with world.nodes["vmx"].socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        for frame in frames:
            wire.send(bytes(frame))


def packet(world: HosterWorld, source: str, mac: str, target: str, text: str) -> Packet:
    layer = IPv6(src=source, dst=target) if ":" in target else IP(src=source, dst=target)
    return Ether(src=mac, dst=router_mac(world)) / layer / UDP(sport=4000, dport=4001) / Raw(text.encode())


SPOOFED = {
    "a container of vm1": (address("web"), OWN),
    "vm2 itself": (address("vm2"), OWN),
    "the gateway of vm1": (GATEWAY, OWN),
    "its own address, another MAC": (MINE, STRANGER),
    "its own address, the MAC of vm1": (MINE, VMS["vm1"][0]),
    "an address of the plan that nobody has": ("2001:db8:77:1:5000::1", OWN),
    "the uplink's": ("2001:db8:77:1:10::1", OWN),
    "one of the internet": ("2001:db8:dead::1", OWN),
}


@pytest.mark.rfc("6092", "REC-5")
@pytest.mark.parametrize("case", SPOOFED)
@pytest.mark.parametrize("target", ["outside", "app"])
def test_it_speaks_for_nobody_else(world: HosterWorld, case: str, target: str) -> None:
    source, mac = SPOOFED[case]
    to = OUTSIDE6 if target == "outside" else address(target)
    with Capture(world.nodes[target], "eth0", lambda p: p.protocol == "udp" and p.destination_port == 4001) as seen:
        send(world, packet(world, source, mac, to, "spoofed"), packet(world, MINE, OWN, to, "honest"))
        seen.wait(lambda p: p.payload == b"honest", what="the honest packet behind it")
    assert [p.source for p in seen.packets] == [MINE]


def test_it_has_no_ipv4_there(world: HosterWorld) -> None:
    with Capture(world.nodes["outside"], "eth0", lambda p: p.protocol == "udp" and p.destination_port == 4001) as seen:
        spoofed = [packet(world, source, OWN, OUTSIDE4, "spoofed") for source in ("10.10.10.11", "192.0.2.136")]
        send(world, *spoofed, packet(world, MINE, OWN, OUTSIDE6, "honest"))
        seen.wait(lambda p: p.payload == b"honest")
    assert len(seen.packets) == 1


def permanent(world: HosterWorld) -> dict[str, str]:
    """Address → MAC of the permanent neighbours on the VMs' segment."""
    show = ["ip", "-6", "neigh", "show", "dev", "vms", "nud", "permanent"]
    words = (line.split() for line in world.nodes["firewall"].output(show).splitlines())
    return {line[0]: line[line.index("lladdr") + 1] for line in words}


@pytest.mark.rfc("4861", "7.2.5")
def test_its_advertisements_take_no_address(world: HosterWorld) -> None:
    before, router = permanent(world), router_mac(world)
    assert before[address("vm1")] == VMS["vm1"][0]
    for target in (address("vm1"), address("web"), GATEWAY):
        for source, (to, mac) in ((MINE, ALL_NODES), (address("vm1"), ALL_NODES), ("fe80::66", (GATEWAY, router))):
            lie = ICMPv6ND_NA(tgt=target, R=1, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OWN)
            question = ICMPv6ND_NS(tgt=GATEWAY) / ICMPv6NDOptSrcLLAddr(lladdr=OWN)
            head = Ether(src=OWN, dst=mac) / IPv6(src=source, dst=to, hlim=255)
            send(world, head / lie, head / question)
    assert world.reaches("outside", address("web"), 443) == OUTSIDE6
    assert permanent(world) == before
    assert "dadfailed" not in world.nodes["firewall"].output(["ip", "-6", "addr", "show", "dev", "vms"])
    assert GATEWAY in world.nodes["firewall"].addresses("vms", 6)


@pytest.mark.rfc("4861", "6.1.2")
def test_its_router_advertisements_are_not_heard(world: HosterWorld) -> None:
    routes = world.nodes["firewall"].output(["ip", "-6", "route"])
    told = ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64)
    send(world, Ether(src=OWN, dst=ALL_NODES[1]) / IPv6(src="fe80::66", dst=ALL_NODES[0], hlim=255) / told)
    assert world.reaches("outside", address("web"), 443) == OUTSIDE6
    assert world.nodes["firewall"].output(["ip", "-6", "route"]) == routes


def test_another_vm_hears_nothing_of_it(world: HosterWorld) -> None:
    """Isolated ports of the bridge: what is said to all reaches the router alone."""
    lie = ICMPv6ND_NA(tgt=GATEWAY, R=1, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OWN)
    with (
        Capture(world.nodes["vm1"], "eth0", lambda p: p.source_mac == OWN) as heard,
        Capture(world.nodes["firewall"], "vms", lambda p: p.kind == 136 and not p.outgoing) as router,
    ):
        for mac in (VMS["vm1"][0], ALL_NODES[1]):
            send(world, Ether(src=OWN, dst=mac) / IPv6(src="fe80::66", dst=ALL_NODES[0], hlim=255) / lie)
        router.wait(lambda p: p.source == "fe80::66")
        assert world.reaches("app", address("web"), 443)
    assert not heard.packets, heard.summary()


def test_a_flood_of_questions_fills_no_table(world: HosterWorld) -> None:
    """The kernel keeps a neighbour for each source that asks; of one VM it hears no more than a few a second."""

    def entries() -> int:
        return len(world.nodes["firewall"].output(["ip", "-6", "neigh", "show", "dev", "vms"]).splitlines())

    before = entries()
    asks = Ether(src=OWN, dst="33:33:ff:00:00:01") / IPv6(src="fe80::66", dst="ff02::1:ff00:1", hlim=255)
    frame = bytes(asks / ICMPv6ND_NS(tgt=f"{group(VMS['vmx'][1], 0)}::1") / ICMPv6NDOptSrcLLAddr(lladdr=OWN))
    with world.nodes["vmx"].socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        for number in range(5000):  # the checksum stays: what is added here is taken away there
            changed = bytearray(frame)
            changed[14 + 8 + 10 : 14 + 8 + 12] = number.to_bytes(2)
            changed[14 + 8 + 12 : 14 + 8 + 14] = (0xFFFF - number).to_bytes(2)
            wire.send(bytes(changed))
    assert world.reaches("app", address("web"), 443), "the others are untouched"
    assert entries() < before + 500
    wait_for(lambda: world.reaches("vmx", OUTSIDE6, timeout=3.0), 30, "vmx itself to be heard again")


def idle(world: HosterWorld, vm: str, count: int, opened: contextlib.ExitStack) -> int:
    """Connections to the broker that say nothing, left open; how many of them stand."""
    stand = 0
    for _ in range(count):
        one = opened.enter_context(world.nodes[vm].socket(socket.AF_INET, socket.SOCK_STREAM))
        one.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            one.connect(("10.98.0.1", 8883))
            stand += 1
    return stand


def test_machines_that_never_log_in_leave_room_on_the_bus(world: HosterWorld) -> None:
    """Eight of one machine, and of all of them together not so many that a node of the router gets none."""
    machine = world.nodes["vm1"]
    with contextlib.ExitStack() as opened:
        assert idle(world, "vm1", 10, opened) == 8
        assert idle(world, "vm2", 1, opened) == 1, "the next machine has its own"
        for last in range(5):  # the same machine with other names
            machine.ip(f"link set eth1 address 02:00:00:00:77:0{last}", "route replace default via 10.10.10.2")
            assert idle(world, "vm1", 9, opened) <= 8
        assert idle(world, "vm2", 1, opened) == 0, "of all of them together no more than so many"
        log = world.services["hetzner"].log("router-agent")
        world.services["hetzner"].dinitctl("restart", "router-agent")
        wait_for(lambda: "bus connected" in world.ctl("hetzner", "status"), 20, log)
    wait_for(lambda: idle_again(world), 30, "room again once they have gone")


def idle_again(world: HosterWorld) -> bool:
    """Whether a machine gets a connection."""
    with contextlib.ExitStack() as opened:
        return idle(world, "vm2", 1, opened) == 1
