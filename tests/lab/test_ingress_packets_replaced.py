"""No internal address leaves an ingress while its rules are being replaced."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from agent.drivers.nft import Nft
from tests.lab.packets import Wire
from tests.lab.smallnet import FAR4, FAR6, HOST4, HOST6, NAS6, WAN4, WAN6, SmallNet, smallnet

pytestmark = pytest.mark.lab

EXTERNAL = "2001:db8:a100::/48"


@pytest.fixture
def net(tmp_path: Path) -> Iterator[SmallNet]:
    with smallnet(tmp_path) as built:
        built.apply(EXTERNAL)
        yield built


@pytest.mark.rfc("7084", "ULA-4")
def test_no_internal_address_leaves_while_rules_are_replaced(net: SmallNet) -> None:
    """A train of packets of both families; prefixes change, mappings come and go, the whole is loaded again."""
    isp, dmz = net.wire("net", "isp"), net.wire("fw", "dmz")
    to = net.wire("ingress", "dmz").mac
    stop = threading.Event()
    frames = [
        bytes(Ether(src=dmz.mac, dst=to) / packet)
        for packet in (
            IPv6(src=HOST6, dst=FAR6) / UDP(sport=1, dport=9) / Raw(b"x"),
            IPv6(src=NAS6, dst=FAR6) / UDP(sport=2, dport=9) / Raw(b"x"),
            IPv6(src=HOST6, dst=FAR6) / ICMPv6EchoRequest(id=3),
            IP(src=HOST4, dst=FAR4) / UDP(sport=4, dport=9) / Raw(b"x"),
        )
    ]

    def blast() -> None:
        while not stop.is_set():
            for frame in frames:
                dmz.raw(frame)

    sequence = [
        net.ruleset(EXTERNAL),
        net.ruleset("2001:db8:a1ff:ab00::/56"),
        net.ruleset("2001:db8:a100:7::/64"),
        net.ruleset(),
        net.ruleset(wan6=None),
        net.ruleset("2001:db8:b100::/48"),
    ]

    async def replace() -> None:
        nft = Nft()
        for turn in range(60):
            target = sequence[turn % len(sequence)]
            if turn % 4 == 0:
                nft.forget()
            await nft.close(target)
            await nft.apply(target)
        await nft.aclose()

    sender = threading.Thread(target=blast)
    sender.start()
    try:
        net.spaces["ingress"].call(lambda: asyncio.run(replace()))
    finally:
        stop.set()
        sender.join()
    left = [str(p[IPv6].src if IPv6 in p else p[IP].src) for p in isp.frames(0.2) if IPv6 in p or IP in p]
    assert len(left) > 100
    inner = [ip_network("fc00::/7"), ip_network("10.0.0.0/8")]
    assert not {source for source in left if any(ip_address(source) in network for network in inner)}
    assert {"2001:db8:a100:10::100", "2001:db8:b100:10::100", WAN6, WAN4} <= set(left)


def test_the_guard_holds_for_a_successor_of_the_link(net: SmallNet) -> None:
    """The uplink goes and comes back under the same name: nothing but the guard stops what the ingress itself sends."""
    internal = "fd00:1:2:99::2"
    ingress, isp = net.spaces["ingress"], net.wire("net", "isp")
    net.apply(wan6=None)
    leak = f"ping -6 -c1 -W0.2 -I {internal} 2001:db8:a::1 || true; ping -6 -c1 -W3 2001:db8:a::1"
    ingress.sh(leak)
    assert internal not in sources(isp)

    ingress.sh("ip link del wan")
    ingress.sh(f"ip link add wan type veth peer name isp netns {net.spaces['net'].name}; ip link set wan up")
    ingress.sh(f"ip addr add {WAN6}/64 dev wan")
    net.spaces["net"].sh("ip link set isp up; ip addr add 2001:db8:a::1/64 dev isp")
    net.index["wan"] = int(ingress.sh("cat /sys/class/net/wan/ifindex"))
    isp = net.wire("net", "isp")
    net.apply(wan6=None)
    ingress.sh(leak)
    seen = sources(isp)
    assert WAN6 in seen
    assert internal not in seen


def sources(wire: Wire) -> set[str]:
    return {str(packet[IPv6].src) for packet in wire.frames(0.1) if ICMPv6EchoRequest in packet}
