"""The KPN story with the example configuration unchanged: what a household sees of it."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.lab.internet import ask
from tests.lab.node import Node
from tests.lab.topology import INTERNET4, INTERNET6
from tests.vm.network import EXAMPLE, Network
from tests.vm.topology import ADDRESS, ADMIN4, PREFIX

NAS6 = "2001:db8:a100:10::5"


def test_story_configuration_is_the_example(story: Network) -> None:
    assert story.nodes["kpn"].path("/etc/router/router.yaml").read_text() == EXAMPLE.read_text()
    status = story.nodes["kpn"].output(["routerctl", "status"])
    assert f"{PREFIX} delegated" in status
    assert ADDRESS in status
    assert "problem" not in status


@pytest.mark.parametrize(
    ("client", "subnet", "ipv4"),
    [
        ("laptop", "10", "10.10.0."),
        ("nas", "10", "10.10.0.5"),
        ("phone", "20", "10.20.0."),
        ("lamp", "30", "10.30.0."),
        ("admin", "5", ADMIN4),
    ],
)
def test_story_each_network_of_the_trunk_browses(story: Network, client: str, subnet: str, ipv4: str) -> None:
    assert any(address.startswith(ipv4) for address in story.nodes[client].addresses("lan", 4))
    story.wait_reached(client, {4: ADDRESS, 6: f"2001:db8:a100:{subnet}::/64"})


def test_story_a_pinhole_reaches_the_host_from_outside(story: Network) -> None:
    internet = story.nodes["internet"]
    story.wait_reached("nas")
    assert ask(internet, "tcp", NAS6, 443) == INTERNET6
    assert ask(internet, "tcp", NAS6, 22) is None


def test_story_a_forward_reaches_the_host_from_outside(story: Network) -> None:
    internet = story.nodes["internet"]
    assert ask(internet, "tcp", ADDRESS, 443) == INTERNET4
    assert ask(internet, "udp", ADDRESS, 27000) == INTERNET4
    assert ask(internet, "tcp", ADDRESS, 22) is None


def test_story_hosts_reach_their_own_forward_from_inside(story: Network) -> None:
    assert ask(story.nodes["laptop"], "tcp", ADDRESS, 443) == ADDRESS


@pytest.mark.rfc("4638", "mtu 1492 without PPP-Max-Payload")
def test_story_segments_fit_the_session(story: Network) -> None:
    assert "mtu 1492" in story.nodes["kpn"].output(["ip", "link", "show", "wan"])
    for family, segment in ((4, 1452), (6, 1432)):
        seen = [_listen(story.nodes["internet"], "eth0", family), _listen(story.nodes["laptop"], "lan", family)]
        assert story.reach("laptop", family)
        for process in seen:
            out, _ = process.communicate(timeout=30)
            assert re.findall(r"mss (\d+)", out) == [str(segment)], f"IPv{family}: {out}"


def _listen(node: Node, interface: str, family: int) -> subprocess.Popen[str]:
    """tcpdump of the first packet of a connection that comes in, listening already."""
    expression = f"ip{'6' if family == 6 else ''} and port 7"
    argv = ["tcpdump", "-i", interface, "-n", "-v", "-l", "-Q", "in", "-c", "1", expression]
    process = node.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    assert any("listening" in line for line in process.stderr)
    return process


def test_story_path_mtu_is_discovered(story: Network) -> None:
    laptop = story.nodes["laptop"]
    # The advertisements spare hosts the discovery; a host that does not listen must still learn it.
    assert laptop.output(["sysctl", "-n", "net.ipv6.conf.lan.mtu"]).strip() == "1492"
    laptop.sysctl("net.ipv6.conf.lan.accept_ra_mtu", "0")
    laptop.sysctl("net.ipv6.conf.lan.mtu", "1500")
    try:
        for target in (INTERNET4, INTERNET6):
            header = 48 if ":" in target else 28
            out = laptop.run(
                ["ping", "-M", "do", "-c", "2", "-W", "3", "-s", str(1500 - header), target], check=False
            ).stdout
            assert "mtu=1492" in out or "mtu = 1492" in out
            laptop.run(["ping", "-M", "do", "-c", "1", "-W", "5", "-s", str(1492 - header), target])
            assert "mtu 1492" in laptop.output(["ip", "route", "get", target])
    finally:
        laptop.sysctl("net.ipv6.conf.lan.accept_ra_mtu", "1")
        laptop.sysctl("net.ipv6.conf.lan.mtu", "1492")
        # A host remembers what it learnt for ten minutes; tests of a larger MTU follow.
        for family in ("-4", "-6"):
            laptop.run(["ip", family, "route", "flush", "cache"])
