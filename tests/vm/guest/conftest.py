"""Tests in the machine share one network with a running router; each leaves it as it found it."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab.lab import Lab
from tests.vm.network import Network

OUT = Path("/mnt/out")


ORDER = (
    "test_kernel",
    "test_kpn_story",
    "test_kpn_flowtable",
    "test_kpn_container",
    "test_kpn_mtu",
    "test_kpn_session",
    "test_kpn_wire",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a household sees before what goes wrong, and the wire, which has seen it all, at the end."""
    places = {name: place for place, name in enumerate(ORDER)}
    items.sort(key=lambda item: places.get(item.path.stem, len(ORDER)))


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
        network.wire.start()
        network.start_story()
        _Running.network = network
        yield network
        _Running.network = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Save the router's view of a failure: the machine is gone when somebody reads about it."""
    report = yield
    if report.failed and _Running.network:
        (OUT / f"{item.name}.log").write_text(_Running.network.story_so_far())
    elif report.failed and Lab.kept_logs:
        text = "".join(f"--- {name}\n{text}\n" for name, text in Lab.kept_logs.items())
        (OUT / f"{item.name}.log").write_text(text)
    return report
