"""compose/router-hoster.yaml as it is, on a real kernel: what is reached, what is not, and by whom it is tried."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

import pytest

from tests.lab.capture import Capture
from tests.lab.hoster_world import CONFIG, CONTAINERS, OUTSIDE4, OUTSIDE6, PERMITTED, VMS, HosterWorld, address, group
from tests.lab.internet import ask
from tests.lab.node import Node
from tests.lab.scan import scan
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def world() -> Iterator[HosterWorld]:
    with HosterWorld() as world:
        yield world


def test_a_container_is_reached_on_its_port_and_on_no_other(world: HosterWorld) -> None:
    assert world.reaches("outside", address("web"), 443) == OUTSIDE6
    for port in (22, 80):
        assert world.reaches("outside", address("web"), port, timeout=0.5) is None
    assert world.reaches("outside", address("db"), 443, timeout=0.5) is None
    assert world.reaches("outside", address("vm1"), 443, timeout=0.5) is None


def test_containers_go_out_as_themselves_and_the_lan_by_nat(world: HosterWorld) -> None:
    for name in ("web", "db", "app", "vm1"):
        assert world.reaches(name, OUTSIDE6) == address(name)
    assert world.reaches("vm2", OUTSIDE4) == "192.0.2.136"


def test_containers_of_different_vms_reach_each_other_through_the_router(world: HosterWorld) -> None:
    router = world.nodes["firewall"].output(["cat", "/sys/class/net/vms/address"]).strip()
    with Capture(world.nodes["vm2"], "eth0", lambda p: p.protocol == "tcp" and not p.outgoing) as capture:
        assert world.reaches("web", address("app"), 80) == address("web")
        assert world.reaches("app", address("db"), 22) == address("app")
    assert {packet.source_mac for packet in capture.packets} == {router}


def test_the_one_mac_is_the_uplinks_whatever_restarts(world: HosterWorld) -> None:
    with Capture(world.nodes["provider"], "line", lambda p: not p.outgoing) as capture:
        world.services["hetzner"].dinitctl("restart", "router-agent")
        world.nodes["hetzner"].ip("link set wan0 down", "link set wan0 up")
        wait_for(lambda: world.reaches("web", OUTSIDE6), 30, "the uplink to carry again")
    assert {packet.source_mac for packet in capture.packets} == {PERMITTED}


def neighbours(world: HosterWorld, node: str) -> int:
    """How many entries its kernel keeps."""
    return len(world.nodes[node].output(["ip", "-6", "neigh"]).splitlines())


def test_a_scan_of_the_whole_plan_finds_exactly_what_is_allowed(world: HosterWorld) -> None:
    """Gateway, VM and container of each of the 4096 indices, all that is there, and the uplink itself."""
    addresses = [f"{group(index, part)}::{end}" for index in range(4096) for part, end in ((0, 1), (0, 2), (1, "80"))]
    there = [*map(address, (*CONTAINERS, *VMS)), *(f"{group(index, 1)}::1" for _, index in VMS.values())]
    targets = [(IPv6Address(a), 443) for a in addresses]
    targets += [(IPv6Address(a), port) for a in (*there, "2001:db8:77:1:10::1") for port in (22, 53, 80, 443, 8883)]
    targets += targets[-len(there) * 5 :]  # twice: a lost packet proves nothing
    before = {name: neighbours(world, name) for name in ("firewall", "hetzner")}
    gateway = world.nodes["provider"].output(["cat", "/sys/class/net/core/address"]).strip()
    found = scan(world.nodes["outside"], "eth0", gateway, OUTSIDE6, targets)
    assert found == {(IPv6Address(address("web")), 443)}
    for name, count in before.items():
        assert neighbours(world, name) <= count + 20, "no neighbour is asked for an address that is not there"
    for port in (443, 80):  # UDP answers nobody
        assert ask(world.nodes["outside"], "udp", address("web"), port, timeout=0.3) is None
    for port in (22, 80, 443, 8883):
        assert world.reaches("outside", "192.0.2.136", port, timeout=0.3) is None


@pytest.mark.rfc("7084", "WPD-5")
@pytest.mark.parametrize("target", ["2001:db8:77:1:40::2", "2001:db8:77:1:20::3", "2001:db8:77:1::9"])
def test_what_nobody_has_is_unreachable_and_goes_in_no_circle(world: HosterWorld, target: str) -> None:
    with Capture(world.nodes["hetzner"], "dmz", lambda p: target in {p.source, p.destination}) as capture:
        ping = world.nodes["outside"].run(["ping", "-c", "1", "-W", "2", target], check=False)
    assert "unreachable" in ping.stdout.lower()
    assert len(capture.packets) == 1, capture.summary()


def test_the_vms_reach_the_broker_over_the_lan_and_nothing_else_there(world: HosterWorld) -> None:
    vm1 = world.nodes["vm1"]
    reached = "import socket; socket.create_connection(('10.98.0.1', {port}), {wait})"
    vm1.run(["python3", "-c", reached.format(port=8883, wait=10)])
    for port in (22, 1883):
        assert vm1.run(["python3", "-c", reached.format(port=port, wait=0.5)], check=False).returncode != 0


BAD = {
    "an index that is taken": ("index: 0x003", "index: 0x002"),
    "an overlap": ("index: 0x003,", 'prefix: "2001:db8:77:1:20::/75",'),
    "a prefix of the wrong size": ("index: 0x003,", 'prefix: "2001:db8:77:1:50::/80",'),
    "a suffix that does not fit": ('suffix: "::80"', 'suffix: "::1:0:0:80"'),
}


def shown(node: Node) -> str:
    """Rules, routes, addresses and neighbours; without what packets themselves put into sets, which comes and goes."""
    rules = "nft -s list ruleset | grep -v 'limit rate over'"
    return node.output(["sh", "-c", f"{rules}; ip -6 route; ip -6 addr; ip -6 neigh show nud permanent"])


@pytest.mark.parametrize("case", BAD)
def test_bad_input_changes_nothing(world: HosterWorld, case: str) -> None:
    old, new = BAD[case]
    firewall = world.nodes["firewall"]
    before = shown(firewall)
    refused = firewall.run(["routerctl", "apply", "-"], stdin=CONFIG.read_text().replace(old, new), check=False)
    assert refused.returncode != 0
    assert "to mend: " in refused.stderr
    assert shown(firewall) == before
    assert world.reaches("outside", address("web"), 443) == OUTSIDE6


def test_further_ipv4_addresses_are_a_hosts_own_or_shared(world: HosterWorld) -> None:
    extra = "extra: [{ address: 192.0.2.140, host: mail }, { address: 192.0.2.141, networks: [lan] }]"
    text = CONFIG.read_text().replace("gateway: 192.0.2.129 }", f"gateway: 192.0.2.129, {extra} }}")
    text = text.replace("hosts:\n  web:", "hosts:\n  mail: { network: lan, ipv4: 10.10.10.12 }\n  web:")
    text += "  - { from: internet, to: mail, tcp: 443, action: accept }\n"
    world.load(text)
    try:
        wait_for(lambda: world.reaches("vm2", OUTSIDE4) == "192.0.2.140", 20, "vm2 to go out by its own address")
        wait_for(lambda: world.reaches("vm1", OUTSIDE4) == "192.0.2.141", 20, "the lan to go out by the shared one")
        assert world.reaches("outside", "192.0.2.140", 443) == OUTSIDE4
        for target, port in (("192.0.2.140", 22), ("192.0.2.141", 443), ("192.0.2.136", 443)):
            assert world.reaches("outside", target, port, timeout=0.4) is None
        assert world.reaches("vm1", "192.0.2.140", 443) == "192.0.2.136", "from inside too (hairpin)"
    finally:
        world.load(CONFIG.read_text())
    wait_for(lambda: world.reaches("vm2", OUTSIDE4) == "192.0.2.136", 20, "the one address again")
    assert "192.0.2.140" not in world.nodes["hetzner"].addresses("wan0", 4)


def test_a_vm_that_is_taken_from_the_plan_leaves_nothing(world: HosterWorld) -> None:
    firewall = world.nodes["firewall"]
    show = ["sh", "-c", "ip -6 route; ip -6 addr; ip -6 neigh show nud permanent"]
    assert world.reaches("vmx", OUTSIDE6) == address("vmx")
    line = next(line for line in CONFIG.read_text().splitlines() if line.startswith("  vmx:"))
    world.load(CONFIG.read_text().replace(f"{line}\n", ""))
    try:
        wait_for(lambda: "2001:db8:77:1:3e8" not in firewall.output(show), 20, lambda: firewall.output(show))
        sets = (firewall.output(["nft", "list", "set", "inet", "router", name]) for name in ("macs_vms", "own76_vms"))
        assert all(VMS["vmx"][0] not in text and VMS["vm1"][0] in text for text in sets)
        assert world.reaches("vmx", OUTSIDE6, timeout=0.5) is None
        assert world.reaches("outside", address("web"), 443) == OUTSIDE6
    finally:
        world.load(CONFIG.read_text())
    wait_for(lambda: world.reaches("vmx", OUTSIDE6) == address("vmx"), 20, "vmx to be of the plan again")
