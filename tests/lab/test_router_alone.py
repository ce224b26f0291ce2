"""One ingress by itself, and what an agent leaves alone: others' objects, and a running router when it errs."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.alone import mapped, ready, start, status
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import CONFIG
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
PREFIX, NEXT = "2001:db8:a100::/48", "2001:db8:a200::/48"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(nodes=["kpn", "kpn-isp"]) as lab:
        yield lab


@pytest.fixture
def kpn(lab: Lab) -> Node:
    return lab.nodes["kpn"]


@pytest.fixture
def agent(kpn: Node) -> Iterator[subprocess.Popen[Any]]:
    """An agent with nothing around it: no dinit, no broker, no firewall."""
    process = start(kpn)
    ready(kpn)
    yield process
    process.kill()
    process.wait()


def test_it_follows_its_prefix_and_reports_the_rest(kpn: Node, agent: subprocess.Popen[Any]) -> None:
    kpn.ip(f"route add unreachable {PREFIX} proto dhcp")
    mapped(kpn, PREFIX)
    kpn.ip(f"route add unreachable {NEXT} proto dhcp", f"route del unreachable {PREFIX} proto dhcp")
    mapped(kpn, NEXT)
    wait_for(lambda: "no connection to the broker" in status(kpn)["parts"]["bus"]["error"], 5, "the bus's error")
    parts = status(kpn)["parts"]
    assert "dinitctl" in parts["daemons"]["error"]
    assert not parts["nft"]["error"]
    assert kpn.run(["routerctl", "health"], check=False).returncode == 1
    assert agent.poll() is None


def test_a_withdrawn_prefix_is_mapped_no_more(kpn: Node, agent: subprocess.Popen[Any]) -> None:
    kpn.ip(f"route add unreachable {PREFIX} proto dhcp")
    mapped(kpn, PREFIX)
    kpn.ip(f"route del unreachable {PREFIX} proto dhcp")
    wait_for(lambda: "set" not in kpn.output(["nft", "list", "chain", "inet", "router", "npt_out"]), 5, "no mapping")
    assert "uplink/prefix/48" not in status(kpn)["facts"]
    assert agent.poll() is None


def test_the_uplink_may_vanish_and_return_under_another_index(
    lab: Lab, kpn: Node, agent: subprocess.Popen[Any]
) -> None:
    kpn.ip("addr add 2001:db8:a::2/64 dev wan nodad", f"route add unreachable {PREFIX} proto dhcp")
    mapped(kpn, PREFIX)
    before = kpn.output(["cat", "/sys/class/net/wan/ifindex"])
    kpn.ip("link del wan")
    wait_for(lambda: "link.wan" in _problem_parts(kpn) or "link/wan" in _problem_parts(kpn), 5, "the problem")
    assert "device" not in kpn.output(["nft", "list", "ruleset", "netdev"]), "no guard without a device"
    kpn.ip("link add wan type veth peer name far", "link set wan up", "link set far up")
    kpn.ip("addr add 2001:db8:a::2/64 dev wan nodad")
    assert kpn.output(["cat", "/sys/class/net/wan/ifindex"]) != before
    wait_for(lambda: 'device "wan"' in kpn.output(["nft", "list", "ruleset", "netdev"]), 5, "the guard hooked anew")
    wait_for(lambda: "link/wan" not in _problem_parts(kpn), 5, "no problem any more")
    mapped(kpn, PREFIX)
    assert kpn.output(["cat", "/proc/sys/net/ipv4/conf/wan/arp_ignore"]).strip() == "1", "sysctls of the new link"
    assert lab.nodes["kpn"] is kpn
    assert agent.poll() is None


# An IPv4 packet with an internal source, put on the device itself: past routing and every chain of `inet`.
STRAY = """
import socket
packet = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
header = bytes.fromhex("4500001400000000401100000a0a0005cb007107")
try:
    packet.sendto(header, ("wan", 0x0800, 0, 0, b"\\x02\\0\\0\\0\\0\\1"))
except OSError:
    pass  # what is dropped on egress is told to the sender, on some kernels
"""


@pytest.mark.usefixtures("agent")
def test_what_the_guard_stops_is_counted_over_everything(kpn: Node) -> None:
    assert status(kpn)["guarded"] == 0
    kpn.run(["/usr/bin/python3", "-c", STRAY])
    assert status(kpn)["guarded"] == 1
    kpn.ip("link del wan", "link add wan type veth peer name far", "link set wan up", "link set far up")
    wait_for(lambda: 'device "wan"' in kpn.output(["nft", "list", "ruleset", "netdev"]), 5, "the guard hooked anew")
    assert status(kpn)["guarded"] == 1
    wait_for(lambda: kpn.run(["/usr/bin/python3", "-c", STRAY]) and status(kpn)["guarded"] > 1, 5, "the new guard")
    assert "packets with an internal address stopped" in kpn.output(["routerctl", "status"])


def _problem_parts(node: Node) -> set[str]:
    return {problem["part"] for problem in status(node).get("problems", [])}


def test_what_others_made_is_left_alone(kpn: Node) -> None:
    kpn.run(["nft", "-f", "-"], stdin="table ip docker { chain c { type filter hook forward priority 0; }; }\n")
    kpn.ip(
        "route add 203.0.113.0/24 dev wan proto static",
        "rule add pref 77 from 10.1.2.3 lookup 77",
        "addr add 192.0.2.77/32 dev wan",
        "route add unreachable 10.77.0.0/16",
    )
    process = start(kpn)
    ready(kpn)
    kpn.ip(f"route add unreachable {PREFIX} proto dhcp")
    mapped(kpn, PREFIX)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "table ip docker" in kpn.output(["nft", "list", "ruleset"])
    routes = kpn.output(["ip", "route"])
    assert "203.0.113.0/24 dev wan proto static" in routes
    assert "unreachable 10.77.0.0/16" in routes
    assert "77:\tfrom 10.1.2.3 lookup 77" in kpn.output(["ip", "rule"])
    assert "192.0.2.77/32" in kpn.output(["ip", "addr", "show", "dev", "wan"])


def test_what_is_ours_is_repaired_and_exit_tears_nothing_down(kpn: Node, agent: subprocess.Popen[Any]) -> None:
    kpn.ip(f"route add unreachable {PREFIX} proto dhcp")
    mapped(kpn, PREFIX)
    ours = "unreachable fd4b:9ca2:1d70::/48 dev lo proto 98"
    kpn.ip("route del unreachable fd4b:9ca2:1d70::/48 metric 4294967295")
    wait_for(lambda: ours in kpn.output(["ip", "-6", "route"]), 5, "the route again")
    kpn.run(["nft", "delete", "table", "inet", "router"])
    kpn.run(["routerctl", "reload"])  # a full resync, as every five minutes
    mapped(kpn, PREFIX)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(10) == 0
    mapped(kpn, PREFIX)
    assert ours in kpn.output(["ip", "-6", "route"])


def test_a_killed_agent_converges_from_what_it_observes(kpn: Node, agent: subprocess.Popen[Any]) -> None:
    kpn.ip(f"route add unreachable {PREFIX} proto dhcp")
    mapped(kpn, PREFIX)
    agent.kill()
    agent.wait()
    kpn.ip(f"route add unreachable {NEXT} proto dhcp", f"route del unreachable {PREFIX} proto dhcp")
    second = start(kpn)
    mapped(kpn, NEXT)
    assert PREFIX.split("/", maxsplit=1)[0] not in kpn.output(["nft", "list", "ruleset"])
    second.kill()
    second.wait()


def test_a_broken_configuration_changes_nothing_that_runs(kpn: Node, agent: subprocess.Popen[Any]) -> None:
    kpn.ip(f"route add unreachable {PREFIX} proto dhcp")
    mapped(kpn, PREFIX)
    before = kpn.output(["nft", "list", "ruleset"])
    good = CONFIG.read_text()
    place = kpn.path("/etc/router/router.yaml")
    place.write_text(good.replace("prefix: fd4b:9ca2:1d70::/48", "prefix: fd4b:9ca2:1d70::1/48"))
    answer = kpn.run(["routerctl", "reload"], check=False)
    assert answer.returncode == 1
    assert "router.yaml:" in answer.stderr
    assert "site.prefix" in answer.stderr
    assert kpn.output(["nft", "list", "ruleset"]) == before
    assert "site.prefix" in status(kpn)["parts"]["config"]["error"]
    place.write_text(good.replace("prefix: fd4b:9ca2:1d70::/48", "prefix: fd4b:9ca2:1d71::/48"))
    agent.send_signal(signal.SIGHUP)
    wait_for(lambda: "fd4b:9ca2:1d71::/48" in kpn.output(["nft", "list", "chain", "inet", "router", "npt_out"]), 5)
    assert not status(kpn)["parts"]["config"]["error"]


def test_a_start_with_a_broken_configuration_says_where_and_touches_nothing(kpn: Node) -> None:
    kpn.path("/etc/router/router.yaml").write_text("site: { name: home }\n")
    before = kpn.output(["nft", "list", "ruleset"])
    answer = kpn.run(["router-agent", "run"], check=False)
    assert answer.returncode == 2
    assert "router.yaml:1" in answer.stderr
    assert "site.prefix" in answer.stderr
    assert kpn.output(["nft", "list", "ruleset"]) == before


def test_a_socket_of_the_agent_is_not_for_everybody(kpn: Node, agent: subprocess.Popen[Any]) -> None:
    assert kpn.path("/run/router/agent.sock").stat().st_mode & 0o077 == 0
    assert agent.poll() is None
