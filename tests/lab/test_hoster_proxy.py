"""`neighbours: proxy`: a provider that asks for every address gets an answer for those that exist or may, no others."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import Ether

from agent.drivers.neighbours import MOST
from tests.lab.hoster_world import CONFIG, OUTSIDE6, PERMITTED, PREFIX, HosterWorld, address
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
PROXY = CONFIG.read_text().replace("neighbours: routed }", "neighbours: proxy }")
UPLINK = "2001:db8:77:1:10::1"
RETRANS_TIMER = 1.0  # seconds (RFC 4861 section 10)


@pytest.fixture(scope="module")
def world() -> Iterator[HosterWorld]:
    assert "neighbours: proxy" in PROXY
    with HosterWorld(PROXY) as world:
        yield world


def entries(world: HosterWorld) -> set[str]:
    """The kernel's proxy entries of the ingress."""
    lines = world.nodes["hetzner"].output(["ip", "-6", "neigh", "show", "proxy", "dev", "wan0"]).splitlines()
    return {line.split()[0] for line in lines}


def answered(world: HosterWorld, target: str, timeout: float = 1.0, *, unicast: bool = False, hops: int = 255) -> str:
    """The MAC that answers when the provider asks, empty for none. It asks every second, as a kernel does.

    The first question may come while the ingress still looks whether its own address is free (RFC 4862 section 5.4.3).
    """
    provider = world.nodes["provider"]
    mac = provider.output(["cat", "/sys/class/net/line/address"]).strip()
    low = IPv6Address(target).packed[-3:]
    group, to = f"ff02::1:ff{low[0]:02x}:{low[1]:02x}{low[2]:02x}", f"33:33:ff:{low.hex(':')}"
    if unicast:
        group, to = target, PERMITTED
    asks = Ether(src=mac, dst=to) / IPv6(src="fe80::1", dst=group, hlim=hops)
    asks = asks / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=mac)
    with provider.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD)) as wire:
        wire.bind(("line", 0x86DD))
        deadline = asked = time.monotonic()
        deadline += timeout
        while (now := time.monotonic()) < deadline:
            if now >= asked:
                wire.send(bytes(asks))
                asked += RETRANS_TIMER
            if not select.select([wire], [], [], max(min(asked, deadline) - now, 0))[0]:
                continue
            frame = Ether(wire.recv(2048))
            if ICMPv6ND_NA in frame and frame[ICMPv6ND_NA].tgt == target and frame[IPv6].hlim == 255:
                return str(frame.src)
    return ""


def test_the_provider_finds_a_container_by_asking(world: HosterWorld) -> None:
    assert "via" not in world.nodes["provider"].output(["ip", "-6", "route", "show", str(PREFIX)])
    assert world.reaches("outside", address("web"), 443, timeout=5) == OUTSIDE6
    assert world.reaches("db", OUTSIDE6, timeout=5) == address("db")


@pytest.mark.rfc("4861", "7.2.4")
@pytest.mark.parametrize("target", [address("vm2"), "2001:db8:77:1:30::1", "2001:db8:77:1:3e81::1234", UPLINK])
def test_what_exists_or_may_exist_is_answered_for(world: HosterWorld, target: str) -> None:
    assert answered(world, target, timeout=10) == PERMITTED
    assert answered(world, target, timeout=10, unicast=True) == PERMITTED, "the probes that follow (RFC 4861, 7.3)"


@pytest.mark.parametrize(
    "target", ["2001:db8:77:1::5", "2001:db8:77:1:40::2", "2001:db8:77:1:20::3", "2001:db8:77:1:22::1", "2001:db8::1"]
)
def test_nothing_else_is(world: HosterWorld, target: str) -> None:
    assert not answered(world, target, timeout=0.4)
    assert target not in entries(world)


def test_a_question_from_afar_is_none(world: HosterWorld) -> None:
    assert not answered(world, "2001:db8:77:1:31::dead", timeout=0.4, hops=254)


def test_entries_are_there_without_the_agent_and_found_again_by_the_next(world: HosterWorld) -> None:
    target, services = "2001:db8:77:1:21::77", world.services["hetzner"]
    assert answered(world, target, timeout=10)
    services.dinitctl("stop", "--force", "router-agent")
    assert answered(world, target, timeout=10) == PERMITTED
    services.dinitctl("start", "router-agent")
    assert target in entries(world)
    wait_for(lambda: answered(world, "2001:db8:77:1:21::78"), 20, "the next agent to answer")


def test_a_scan_leaves_no_more_than_so_many_entries(world: HosterWorld) -> None:
    provider, first = world.nodes["provider"], "2001:db8:77:1:31:1::1"
    targets = iter(range(1, 1 << 16))
    mac = provider.output(["cat", "/sys/class/net/line/address"]).strip()
    head = bytes.fromhex((PERMITTED + mac).replace(":", "")) + bytes.fromhex("86dd6000000000183aff")

    def scanned() -> bool:
        """A hundred more: as many as the proxy's queue surely holds."""
        for number in (next(targets) for _ in range(100)):
            target = IPv6Address(int(IPv6Address(first)) - 1 + number).packed
            wire.send(head + IPv6Address("fe80::1").packed + target + bytes([135, *bytes(7)]) + target)
        there = entries(world)
        return len(there) >= MOST and first not in there

    with provider.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("line", 0))
        wait_for(scanned, 60, lambda: f"the oldest entry to go; there are {len(entries(world))}")
    assert MOST <= len(entries(world)) < MOST + 100
    assert address("web") in entries(world), "what is known to exist stays"
    assert world.reaches("outside", address("web"), 443, timeout=5) == OUTSIDE6


def test_without_the_proxy_nothing_is_left_of_it(world: HosterWorld) -> None:
    world.load(CONFIG.read_text())
    wait_for(lambda: not entries(world), 10, "the entries to go")
    assert not answered(world, "2001:db8:77:1:21::79", timeout=0.4)
    world.load(PROXY)
    wait_for(lambda: answered(world, address("vm1")), 10, "the proxy again")


def test_an_address_that_has_the_whole_prefix(world: HosterWorld) -> None:
    """As providers write it: 2001:db8:77:1::2/64. The containers are behind the router all the same."""
    world.load(PROXY.replace("2001:db8:77:1:10::1/76", "2001:db8:77:1::2/64"))
    try:
        wait_for(lambda: world.reaches("outside", address("web"), 443), 20, "a container to be reached")
        assert world.reaches("app", OUTSIDE6, timeout=5) == address("app")
        wait_for(lambda: answered(world, "2001:db8:77:1::2"), 10, "its address to be no longer tentative")
        assert not answered(world, "2001:db8:77:1::3", timeout=0.4)
    finally:
        world.load(PROXY)
    wait_for(lambda: answered(world, UPLINK), 20, "its own address again")
