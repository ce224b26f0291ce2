"""The compose projects with the real images, one after the other: each test finds what those before it left running."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from tests.engine.engine import Engine
from tests.vm.guest.containers.demo import DUAL, KPN_SOURCES, OUT, Demo, Wire, browses

ORDER = ("test_containers_kpn", "test_containers_dual", "test_containers_home")
# From `compose up` to a client that browses, on an emulated machine that others slow down; 60 s when it is left alone.
PATIENCE = 240.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The demo by itself, then with more uplinks, then a real router in its place."""
    items.sort(key=lambda item: ORDER.index(item.path.stem))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that the machine's script started."""
    return Engine(dict(os.environ), private=True)


@pytest.fixture(scope="session")
def line(engine: Engine) -> Iterator[Wire]:
    """All that ever crosses the line to the ISP."""
    demo = Demo(engine)
    demo.compose("create")
    with Wire(demo.bridge("line-kpn"), "line") as wire:
        yield wire


@pytest.fixture(scope="session")
def kpn(engine: Engine, line: Wire) -> Demo:
    """kpn-demo.yaml, up; its client browses."""
    demo = Demo(engine)
    demo.compose("up", "-d", timeout=PATIENCE)
    browses(demo, "client", KPN_SOURCES, PATIENCE)
    line.wait("vlan 6 and pppoed", "PADI")
    return demo


@pytest.fixture(scope="session")
def dual(engine: Engine, kpn: Demo) -> Demo:
    """The same project with dual-uplink.yaml: routers and the internet host are made anew, three uplinks are up."""
    demo = Demo(engine, DUAL)
    assert kpn.name == demo.name
    demo.compose("up", "-d", timeout=PATIENCE)
    browses(demo, "client", KPN_SOURCES, PATIENCE)
    return demo


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Save what the containers said: the machine is gone when somebody reads about a failure."""
    report = yield
    if report.failed:
        story = Demo(Engine(dict(os.environ), private=True)).story()
        (OUT / f"{item.name}.log").write_text(f"{report.longreprtext}\n{story}")
    return report
