"""Another configuration for a running agent: noticed, shown, applied, confirmed or taken back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.alone import ready, start, status
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import CONFIG
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
DELEGATED = "2001:db8:a100::/48"
OLD, NEW, THIRD = "fd4b:9ca2:1d70::/48", "fd4b:9ca2:1d71::/48", "fd4b:9ca2:1d72::/48"
NOTICED = 15.0


@pytest.fixture(scope="module")
def kpn() -> Iterator[Node]:
    with Lab(nodes=["kpn", "kpn-isp"]) as lab:
        node = lab.nodes["kpn"]
        node.ip(f"route add unreachable {DELEGATED} proto dhcp")
        yield node


@pytest.fixture
def agent(kpn: Node) -> Iterator[list[subprocess.Popen[Any]]]:
    """The running agent; a test that starts another puts it into the list."""
    own(kpn).write_text(text(OLD))
    kpn.path("/var/lib/router/config.json").unlink(missing_ok=True)
    processes = [start(kpn)]
    ready(kpn)
    assert internal(kpn, OLD)
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def own(node: Node) -> Path:
    return node.path("/etc/router/router.yaml")


def text(prefix: str) -> str:
    """The lab's configuration with another internal prefix."""
    return CONFIG.read_text().replace(OLD, prefix)


def internal(node: Node, prefix: str) -> bool:
    """Whether the prefix is the one that is translated."""
    return f"ip6 saddr {prefix}" in node.output(["nft", "list", "chain", "inet", "router", "npt_out"])


def runs(node: Node, prefix: str, timeout: float = NOTICED) -> None:
    wait_for(lambda: internal(node, prefix), timeout, lambda: f"{prefix}; log: {node.log('agent')[-3000:]}")


def routerctl(node: Node, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return node.run(["routerctl", *arguments], check=False, stdin=stdin)


def test_a_changed_file_is_noticed_whether_written_in_place_or_renamed(
    kpn: Node, agent: list[subprocess.Popen[Any]]
) -> None:
    own(kpn).write_text(text(NEW))
    runs(kpn, NEW)
    beside = own(kpn).with_name("router.yaml.new")
    beside.write_text(text(THIRD))
    beside.replace(own(kpn))
    runs(kpn, THIRD)
    own(kpn).write_text("site: [\n")
    wait_for(lambda: "router.yaml:" in status(kpn)["parts"]["config"]["error"], NOTICED, "the file to be refused")
    assert internal(kpn, THIRD)
    assert agent[0].poll() is None


def test_what_would_change_is_shown_and_nothing_is_changed(kpn: Node, agent: list[subprocess.Popen[Any]]) -> None:
    shown = routerctl(kpn, "diff", "-", stdin=text(NEW))
    assert shown.returncode == 0, shown.stderr
    assert f"+ ip6 saddr {NEW}" in shown.stdout
    assert f"- ip6 saddr {OLD}" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100
    changes = json.loads(routerctl(kpn, "diff", "-", "--json", stdin=text(NEW)).stdout)
    assert {"rules", "routes"} <= {change["part"] for change in changes}
    assert internal(kpn, OLD)
    assert "Nothing changes" in routerctl(kpn, "diff").stdout
    assert "nothing to go back to" in routerctl(kpn, "apply", "--confirm", "1m").stderr
    refused = routerctl(kpn, "diff", "-", stdin=text("fd00::1/48"))
    assert refused.returncode == 1
    assert "standard input:" in refused.stderr
    assert agent[0].poll() is None


def test_a_configuration_that_nobody_confirms_is_taken_back(kpn: Node, agent: list[subprocess.Popen[Any]]) -> None:
    applied = routerctl(kpn, "apply", "--confirm", "1s", "-", stdin=text(NEW))
    assert applied.returncode == 0, applied.stderr
    assert f"+ ip6 saddr {NEW}" in applied.stdout
    runs(kpn, OLD)
    assert status(kpn)["confirm"] is None
    assert routerctl(kpn, "confirm").returncode == 1
    assert agent[0].poll() is None


def test_a_confirmed_configuration_stays_until_the_file_changes(kpn: Node, agent: list[subprocess.Popen[Any]]) -> None:
    assert routerctl(kpn, "apply", "--confirm", "10m", "-", stdin=text(NEW)).returncode == 0
    kept = routerctl(kpn, "confirm")
    assert kept.returncode == 0
    assert "put what shall stay into" in kept.stderr
    agent[0].kill()
    agent[0].wait()
    agent.append(start(kpn))
    ready(kpn)
    assert internal(kpn, NEW), "the restarted agent runs what was confirmed"
    assert any("standard input is applied" in problem["message"] for problem in status(kpn)["problems"])
    own(kpn).write_text(text(THIRD))
    runs(kpn, THIRD)
    assert not any(problem["part"] == "config" for problem in status(kpn)["problems"])


def test_what_waits_to_be_confirmed_is_shown_and_waits_on_over_a_restart(
    kpn: Node, agent: list[subprocess.Popen[Any]]
) -> None:
    applied = routerctl(kpn, "apply", "--confirm", "10m", "-", stdin=text(NEW))
    assert "routerctl confirm" in applied.stderr
    refused = routerctl(kpn, "reload")
    assert refused.returncode == 1
    assert "waits to be confirmed" in refused.stderr
    agent[0].kill()
    agent[0].wait()
    agent.append(start(kpn))
    ready(kpn)
    assert internal(kpn, NEW)
    assert 0 < status(kpn)["confirm"] < 600
    assert "CONFIRM" in routerctl(kpn, "status").stdout
    assert routerctl(kpn, "revert").returncode == 0
    assert internal(kpn, OLD)


def test_a_start_with_a_broken_file_runs_the_last_good_one_and_says_so(
    kpn: Node, agent: list[subprocess.Popen[Any]]
) -> None:
    own(kpn).write_text(text(NEW))
    assert routerctl(kpn, "reload").returncode == 0
    agent[0].kill()
    agent[0].wait()
    own(kpn).write_text(text("fd00::1/48"))
    agent.append(start(kpn))
    ready(kpn)
    assert internal(kpn, NEW)
    assert "site.prefix" in status(kpn)["parts"]["config"]["error"]
