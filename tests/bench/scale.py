"""A router with 64 uplinks and 200 networks in one namespace: from an event to routes and rules in the kernel."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from agent import events as ev
from agent.config import Settings, load
from agent.desired import Plan
from agent.drivers.netlink import NetlinkWatcher
from agent.drivers.nft import Nft
from agent.drivers.route import RouteDriver, Wanted
from agent.model import Peer, PrefixMapping, State, UplinkIPv4, UplinkIPv6, UplinkLink
from agent.plan.firewall import plan_firewall
from agent.reduce import reduce
from agent.render import render_ruleset
from tests.bench.report import Figure, figure
from tests.lab.netns import netns

UPLINKS, NETWORKS, RUNS = 64, 200, 30
NOW = 1000.0


def settings() -> Settings:
    """Every network may use every uplink; each has an IPv4 network and a /64."""
    networks = [
        f"  n{number}: {{ subnet: {number:#x}, ipv4: 10.{number // 250 + 1}.{number % 250}.0/24 }}"
        for number in range(1, NETWORKS)
    ]
    dmz = "  dmz: { subnet: 0xfff, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.99 } }"
    uplinks = [f"  u{number}: {{ kind: dhcp, priority: {number} }}" for number in range(1, UPLINKS + 1)]
    names = ", ".join(f"n{number}" for number in range(1, NETWORKS))
    text = "\n".join(
        (
            "site: { name: big, prefix: 'fd4b:9ca2:1d70::/48', hold_down: 0s }",
            "bus: { host: 10.98.0.1, password_file: p, users_file: u }",
            "networks:",
            *networks,
            dmz,
            "uplinks:",
            *uplinks,
            "rules:",
            f"  - {{ from: [{names}], to: internet, action: accept }}",
            "",
        )
    )
    with TemporaryDirectory() as directory:
        path = Path(directory, "router.yaml")
        path.write_text(text)
        return load(path, {})


def peer(number: int, site: IPv6Network) -> Peer:
    """An ingress with an address and a delegated prefix."""
    outside = IPv6Network((int(IPv6Address("2001:db8:1000::")) + (number << 80), 48))
    return Peer(
        link=UplinkLink(
            carrier=True,
            mtu=1500,
            ipv4=IPv4Address("10.99.0.9") + number,
            link_local=IPv6Address("fe80::100") + number,
            mac=f"02:00:00:00:99:{number:02x}",
        ),
        ipv4=UplinkIPv4(IPv4Interface(f"192.0.2.{number}/24")),
        ipv6=UplinkIPv6(
            "prefix", (IPv6Interface((int(outside.network_address) + 1, 64)),), mappings=(PrefixMapping(site, outside),)
        ),
    )


def _wanted(plan: Plan) -> Wanted:
    return Wanted(plan.links, plan.addresses, plan.routes, plan.rules, plan.neighbours)


async def _observed() -> State:
    """What the kernel has now."""
    events: list[ev.Event] = []
    watching = asyncio.create_task(NetlinkWatcher().watch(events.append))
    while not any(isinstance(event, ev.Dump) for event in events):
        await asyncio.sleep(0.01)
    watching.cancel()
    state = State()
    for event in events:
        state = reduce(state, event, NOW)
    return state


async def _measure(found: Settings) -> list[float]:
    nft, route = Nft(), RouteDriver()
    state = await _observed()
    peers = {f"u{number}": peer(number, found.site.prefix) for number in range(1, UPLINKS + 1)}
    state = replace(state, peers=MappingProxyType(peers))

    async def apply(state: State, now: float) -> Plan:
        """The steps of an apply up to the one that moves traffic."""
        plan = plan_firewall(found, state, now)
        ruleset = render_ruleset(plan.nft)
        await nft.close(ruleset)
        await route.add(_wanted(plan), state)
        await nft.apply(ruleset)
        return plan

    plan = await apply(state, NOW)
    await route.remove(_wanted(plan), state)
    samples = []
    link = peers["u1"].link
    assert link is not None
    for run in range(RUNS):
        now = NOW + 1000.0 * run
        state = replace(await _observed(), peers=state.peers, memory=plan.memory)
        event = ev.FactReceived("u1", "uplink/link", replace(link, carrier=run % 2 == 1))
        start = time.monotonic()
        state = reduce(state, event, now)
        plan = await apply(state, now)
        samples.append((time.monotonic() - start) * 1000)
        await route.remove(_wanted(plan), state)
    await nft.aclose()
    await route.aclose()
    return samples


def scale_uplinks() -> Figure:
    """Milliseconds from an uplink's link event to routes and rules: all networks move, away and back."""
    found = settings()
    with netns() as space:
        links = "".join(f"link add {name} up type veth peer name p{name}\n" for name in found.networks)
        space.sh(f"ip -batch - <<'EOF'\n{links}EOF")
        return figure("scale-uplinks", "ms", space.run(lambda: _measure(found)))


if __name__ == "__main__":
    print(scale_uplinks())
