"""`make bench`: run benchmarks, show their figures as they come, write the files; fails where a bound is not met."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tests.bench import (
    agent,
    clients,
    containers,
    exposure,
    health,
    hoster,
    packets,
    prefix,
    reload,
    rules,
    scale,
    uplinks,
)
from tests.bench.report import Bound, Figure, save

Run = Callable[[], Figure | tuple[Figure, ...]]

BOUNDS = {
    "prefix-to-rule": Bound("prefix route on netlink to new rule", median=3, p99=10, faster=("shell hook", 5)),
    "prefix-to-packet": Bound("prefix route on netlink to first translated packet outside", median=20, p99=50),
    "link-to-route": Bound("link down at an ingress to the firewall's new choice, over the bus", median=20, p99=50),
    "restart-loss": Bound("a laptop's 1 ms trains while an agent or the broker restarts", worst=0),
    "prefix-storm": Bound("1000 prefix changes in 10 s: wrong or leaked objects", worst=0),
    "agent-memory": Bound("VmRSS of either role after `prefix-storm`", worst=80),
    "agent-idle": Bound("one core, over 60 s", worst=0.5),
    "agent-ready": Bound("process start to ready", worst=1.5),
    "compose-up": Bound("`compose up` to the client's first IPv6 answer, in the engine", worst=20),
    "pppoe-to-packet": Bound("new PPPoE session's prefix to the first translated packet, in the VM", worst=1),
    "containers-memory": Bound("anonymous memory of ingress and firewall containers", worst=250),
    "restart-ingress": Bound("`docker compose restart ingress-kpn`: outage with a second uplink", worst=1.5),
    "daemon-kill": Bound("a daemon killed: back, its neighbours untouched", worst=3),
    "image-ingress": Bound("size, uncompressed", worst=250),
    "image-firewall": Bound("size, uncompressed", worst=350),
    "link-loss": Bound("outage of 1 ms trains, both families, when the uplink in use loses its carrier", worst=200),
    "failback": Bound("1 ms trains while the preferred uplink returns: packets lost", worst=0),
    "renumber": Bound("outage when address and prefix of the uplink in use are replaced, no gap at the ISP", worst=100),
    "scale-uplinks": Bound("64 uplinks, 200 networks: link event to routes and rules", median=50),
    "reload-one": Bound("one reservation more: request to applied", worst=50),
    "reload-one-served": Bound("the same, until Kea says that it has taken it (it opens its sockets anew)"),
    "reload-one-loss": Bound("1 ms trains of both families, 30 reservations and 30 rules more: packets lost", worst=0),
    "blackhole": Bound("a silent blackhole beyond the ISP's first hop, defaults: outage of a 1 ms train", worst=1500),
    "ingress-killed": Bound("an ingress is gone: outage of a 1 ms train", worst=500),
    "broker-down": Bound("the same with a dead broker, and a lost link: outage beyond the event's own", worst=500),
    "false-alarms": Bound("a simulated day of 5 % random loss each way", worst=0),
    "clients-1000": Bound("1,000 DHCPv4 clients on one network, 32 at a time: a renewal to its answer", p99=500),
    "clients-1000-lost": Bound("leases and renewals of them without a right answer", worst=0),
    "clients-1000-names": Bound("names or reverse names of them that are wrong two minutes later", worst=0),
    "clients-1000-memory": Bound("resident memory of the agent, Kea's three servers and named with them", worst=250),
    "container-open": Bound("a container's start to the first connection from outside", worst=1000),
    "container-close": Bound("a container's end to its port closed in the firewall", worst=1000),
    "rules-5000": Bound("a packet under 5,000 rules over 20 zones against 20 rules, softirq CPU time", worst=1.1),
    "hoster-apply": Bound("4094 VMs, 10,000 open ports: plan and apply in a kernel that has nothing yet", median=2),
    "hoster-change": Bound("the same: a docker host's word to one port more or less", median=20),
    "hoster-packet": Bound("the same: CPU of a new connection's packet, in and out, against 10 ports", worst=1.1),
    "rules-5000-mixed": Bound("the same with subnets, ranges, lists, limits, logs and drops among the rules"),
}
# One run may give several figures: names → what measures them.
CASES: tuple[tuple[tuple[str, ...], Run], ...] = (
    (("prefix-to-rule",), prefix.prefix_to_rule),
    (("prefix-to-packet",), packets.prefix_to_packet),
    (("link-to-route",), packets.link_to_route),
    (("restart-loss",), packets.restart_loss),
    (("prefix-storm", "agent-memory"), prefix.prefix_storm),
    (("agent-idle",), agent.agent_idle),
    (("agent-ready",), agent.agent_ready),
    (("link-loss",), uplinks.link_loss),
    (("failback",), uplinks.failback),
    (("renumber",), uplinks.renumber),
    (("scale-uplinks",), scale.scale_uplinks),
    (("reload-one", "reload-one-served", "reload-one-loss"), reload.reload_one),
    (("blackhole",), health.silent_blackhole),
    (("ingress-killed",), health.ingress_killed),
    (("broker-down",), health.broker_down),
    (("false-alarms",), health.false_alarms),
    (("container-open", "container-close"), exposure.container_times),
    (("rules-5000", "rules-5000-mixed"), rules.rules_5000),
    (("hoster-apply",), hoster.hoster_apply),
    (("hoster-change",), hoster.hoster_change),
    (("hoster-packet",), hoster.hoster_packet),
    (
        ("clients-1000", "clients-1000-lost", "clients-1000-names", "clients-1000-memory"),
        clients.clients_1000,
    ),
    (
        ("compose-up", "containers-memory", "restart-ingress", "daemon-kill", "image-ingress", "image-firewall"),
        containers.containers,
    ),
    (("pppoe-to-packet",), containers.pppoe),
)


def main(names: list[str]) -> int:
    """Run the named benchmarks, all without a name."""
    known = {name for case, _ in CASES for name in case}
    if unknown := set(names) - known:
        sys.stderr.write(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}\n")
        return 2
    figures: list[Figure] = []
    missed = 0
    for case, run in CASES:
        if names and not set(case) & set(names):
            continue
        print(f"{' '.join(case)} …", flush=True)
        start = time.monotonic()
        result = run()
        for entry in result if isinstance(result, tuple) else (result,):
            figures.append(entry)
            broken = BOUNDS[entry.name].broken(entry)
            missed += bool(broken)
            peers = "".join(f", {peer} {median:g}" for peer, median in entry.against.items())
            verdict = f"  MISSED: {'; '.join(broken)}" if broken else ""
            took = time.monotonic() - start
            print(
                f"  {entry.name}: median {entry.median:g} {entry.unit}, p99 {entry.p99:g}, worst {entry.worst:g}, "
                f"{entry.runs} runs{peers} ({took:.0f} s){verdict}",
                flush=True,
            )
        save(figures, BOUNDS)  # after each: an interrupted run keeps what it has
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
