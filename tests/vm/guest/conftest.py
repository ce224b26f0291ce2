"""Tests in the machine share one network with a running router; each leaves it as it found it."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.vm.network import Network

OUT = Path("/mnt/out")


@pytest.fixture(scope="session", autouse=True)
def _modules() -> None:
    """/dev/ppp exists before its module does; a container gets both from its host."""
    subprocess.run(["modprobe", "-a", "ppp_generic", "pppoe", "8021q", "nf_flow_table_inet"], check=True)


class _Running:
    network: Network | None = None


@pytest.fixture(scope="session")
def story() -> Iterator[Network]:
    """The whole network, a client already browsing over PPPoE. All that crosses the line is captured."""
    with Network() as network:
        _Running.network = network
        network.wire.start()
        network.start_story()
        yield network
        _Running.network = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Save the router's view of a failure: the machine is gone when somebody reads about it."""
    report = yield
    network = _Running.network
    if report.failed and network:
        text = ""
        for name in ("kpn", "firewall"):
            status = network.nodes[name].run(["routerctl", "status"], check=False, timeout=60)
            text += f"--- {name}\n{status.stdout}{status.stderr}\n{network.logs(name)[-5000:]}\n"
        text += f"--- pppd of the ISP\n{network.provider.log()[-3000:]}\n"
        (OUT / f"{item.name}.log").write_text(text)
    return report
