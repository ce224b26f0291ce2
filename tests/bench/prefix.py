"""How fast a prefix becomes a rule, and what a storm of them leaves behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.bench.report import Figure, figure
from tests.bench.world import PREFIXES, World
from tests.lab.stamps import RTM_NEWROUTE, RTMGRP_IPV6_ROUTE, Stamps, nft_monitor, rtnetlink
from tests.lab.wait import wait_for

RUNS = 100
STORM = 1000
STORM_SECONDS = 10.0
# What people write into a hook: two processes, a hole between them.
SHELL_HOOK = """
ip -6 monitor route | while read -r kind prefix rest; do
    case "$kind" in unreachable)
        nft flush chain ip6 byhook npt
        nft add rule ip6 byhook npt oifname wan ip6 saddr fd4b:9ca2:1d70::/48 snat ip6 prefix to "$prefix"
    esac
done
"""


def prefix_to_rule() -> Figure:
    """Milliseconds from the route's netlink message to the rule in `nft monitor`, the agent's and a shell hook's."""
    with World(["kpn", "kpn-isp"]) as world, nft_monitor(world.nodes["kpn"]) as rules:
        kpn = world.nodes["kpn"]
        world.services["kpn"].dinitctl("stop", "dhcpcd")
        with rtnetlink(kpn, RTMGRP_IPV6_ROUTE) as routes:
            ours = _toggle(world, routes, rules)
            world.services["kpn"].dinitctl("stop", "router-agent")
            kpn.run(
                ["nft", "-f", "-"],
                stdin="add table ip6 byhook\nadd chain ip6 byhook npt { type nat hook postrouting priority 0; }\n",
            )
            hook = kpn.spawn(["sh", "-c", SHELL_HOOK], "hook")
            wait_for(lambda: _acts(world), 5, "the hook to act", interval=0.1)
            shell = _toggle(world, routes, rules)
            hook.kill()
    return figure("prefix-to-rule", "ms", ours, {"shell hook": shell})


def _acts(world: World) -> bool:
    """Whether the shell hook listens: only a prefix tells, and it takes its time."""
    kpn = world.nodes["kpn"]
    world.delegate(PREFIXES[0])
    try:
        wait_for(lambda: "2001:db8:a100" in kpn.output(["nft", "list", "chain", "ip6", "byhook", "npt"]), 0.3)
    except AssertionError:
        return False
    finally:
        world.withdraw(PREFIXES[0])
    return True


def _toggle(world: World, routes: Stamps, rules: Stamps) -> list[float]:
    samples = []
    for run in range(RUNS):
        prefix = PREFIXES[run % 2]
        routes.clear()
        rules.clear()
        world.delegate(prefix)
        bits = prefix.network_address.packed[:6].hex()
        text = str(prefix.network_address)
        begin = routes.first(lambda line, bits=bits: line.startswith(f"{RTM_NEWROUTE} ") and bits in line)  # type: ignore[misc]
        end = rules.first(lambda line, text=text: "add rule" in line and text in line, what="the rule")  # type: ignore[misc]
        samples.append((end - begin) * 1000)
        rules.clear()
        world.withdraw(prefix)
        _quiet(world)
    return samples


def _quiet(world: World) -> None:
    """Until the agent, where it runs, has taken the withdrawal."""
    kpn = world.nodes["kpn"]
    wait_for(lambda: "2001:db8:a" not in kpn.output(["ip", "-6", "route", "show", "type", "unreachable"]), 5.0)
    if world.services["kpn"].is_started("router-agent"):
        wait_for(lambda: "set" not in kpn.output(["nft", "list", "chain", "inet", "router", "npt_out"]), 5.0)


def prefix_storm() -> tuple[Figure, Figure]:
    """1000 prefix changes in 10 s: objects wrong or leaked afterwards; then the memory of both roles in MiB."""
    with World(["kpn", "kpn-isp", "firewall"]) as world:
        kpn = world.nodes["kpn"]
        world.delegate(PREFIXES[1])
        before = _stable(lambda: _objects(world))
        world.withdraw(PREFIXES[1])
        pause = threading.Event()
        start = time.monotonic()
        # One process makes the changes: a thousand `ip` would measure the shell. Ten to a batch, paced.
        batch = 10
        for number in range(STORM // batch):
            changes = []
            for step in range(batch // 2):
                prefix = PREFIXES[step % 2]
                changes += [f"route add unreachable {prefix} proto dhcp", f"route del unreachable {prefix} proto dhcp"]
            kpn.ip(*changes)
            pause.wait(max(0.0, start + (number + 1) * STORM_SECONDS * batch / STORM - time.monotonic()))
        world.delegate(PREFIXES[1])
        after = _stable(lambda: _objects(world))
        wrong = len(before ^ after)
        memory = [_rss(world, name) for name in ("kpn", "firewall")]
    return figure("prefix-storm", "objects", [float(wrong)]), figure("agent-memory", "MiB", memory)


def _objects(world: World) -> frozenset[str]:
    """Every object that a storm could leave behind, one text each: rules, elements, routes, open files, bus facts."""
    kpn = world.nodes["kpn"]
    found = {f"nft {n} {line}" for n, line in enumerate(kpn.output(["nft", "-s", "list", "ruleset"]).splitlines())}
    found |= {f"route {line}" for line in kpn.output(["ip", "-6", "route", "show", "proto", "98"]).splitlines()}
    found |= {f"address {line}" for line in kpn.addresses("wan", 6)}
    found.add(f"files {len(list((world.agent('kpn') / 'fd').iterdir()))}")
    return frozenset(found)


def _stable(read: Callable[[], frozenset[str]]) -> frozenset[str]:
    """What `read` gives once it is the same for half a second."""
    last: list[tuple[float, frozenset[str]]] = []

    def same() -> bool:
        value = read()
        if not last or last[0][1] != value:
            last[:] = [(time.monotonic(), value)]
        return time.monotonic() - last[0][0] > 0.5

    wait_for(same, 20.0, "things to settle", interval=0.05)
    return last[0][1]


def _rss(world: World, name: str) -> float:
    """VmRSS in MiB."""
    lines = (world.agent(name) / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
