"""A firewall's agent reads its lists, keeps what was last good, and shows its rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.alone import ready, start, status
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import CONFIG
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
LISTS = """
lists:
  blocked: { file: blocked.txt, refresh: 1h }
  here: { names: [localhost], refresh: 1h }
rules:
  - { from: blocked, to: any, action: drop }
  - { from: home, to: here, service: ssh, action: reject }
  - { from: firewall, to: home, udp: 9, action: drop }
"""


@pytest.fixture
def firewall() -> Iterator[Node]:
    with Lab(nodes=["firewall"]) as lab:
        node = lab.nodes["firewall"]
        node.path("/etc/router/router.yaml").write_text(CONFIG.read_text().replace("\nrules:\n", LISTS))
        node.path("/etc/router/blocked.txt").write_text("192.0.2.66 # somebody\n2001:db8:bad::/48\n")
        agent = start(node)
        ready(node)
        yield node
        agent.kill()
        agent.wait()


def elements(node: Node, name: str) -> str:
    """The elements of a set as nft lists them."""
    return node.output(["nft", "list", "set", "inet", "router", name]).partition("elements = ")[2].split("}")[0]


def problems(node: Node) -> dict[str, str]:
    return {problem["part"]: problem["message"] for problem in status(node).get("problems", [])}


def test_lists_are_read_and_what_was_last_good_stays(firewall: Node) -> None:
    wait_for(lambda: "192.0.2.66" in elements(firewall, "list4_blocked"), 20, "the file's addresses")
    wait_for(lambda: "2001:db8:bad::/48" in elements(firewall, "list6_blocked"), 20, "the file's prefixes")
    wait_for(lambda: "127.0.0.1" in elements(firewall, "list4_here"), 20, "the name's address")
    assert "list/blocked" not in problems(firewall)

    path = firewall.path("/etc/router/blocked.txt")
    path.unlink()
    firewall.run(["routerctl", "reload"])
    wait_for(lambda: "list/blocked" in problems(firewall), 20, "the problem")
    assert "blocked.txt cannot be read: no such file or directory" in problems(firewall)["list/blocked"]
    assert "192.0.2.66" in elements(firewall, "list4_blocked")

    path.write_text("192.0.2.67\n")
    firewall.run(["routerctl", "reload"])
    wait_for(lambda: "192.0.2.67" in elements(firewall, "list4_blocked"), 20, "the new addresses")
    assert "192.0.2.66" not in elements(firewall, "list4_blocked")
    wait_for(lambda: "list/blocked" not in problems(firewall), 20, "no problem any more")

    lines = firewall.output(["routerctl", "rules"]).splitlines()
    assert lines[0].split() == ["connections", "bytes", "name", "rule"]
    assert lines[1].split() == ["0", "0", "rule_1", "drop", "blocked", "→", "any"]
    assert lines[2].split() == ["0", "0", "rule_2", "reject", "home", "→", "here", "service", "ssh"]


def counted(node: Node) -> dict[str, str]:
    """Rule in words → how often it matched."""
    lines = node.output(["routerctl", "rules"]).splitlines()[1:]
    return {rule: packets for packets, _, _, rule in (line.split(maxsplit=3) for line in lines)}


def test_a_rule_goes_on_counting_when_others_come_before_it(firewall: Node) -> None:
    rule = "drop firewall → home udp 9"
    firewall.run(["bash", "-c", "echo > /dev/udp/10.10.0.77/9"], check=False)
    assert counted(firewall)[rule] == "1"
    path = firewall.path("/etc/router/router.yaml")
    more = "\nrules:\n  - { from: iot, to: home, tcp: 22, log: true, action: reject }\n"
    path.write_text(path.read_text().replace("\nrules:\n", more))
    firewall.run(["routerctl", "reload"])
    assert counted(firewall)[rule] == "1"
    assert "reject iot → home tcp 22 log" in counted(firewall)
    firewall.run(["bash", "-c", "echo > /dev/udp/10.10.0.77/9"], check=False)
    assert counted(firewall)[rule] == "2"
