"""A failed lab test shows what the daemons of its lab said."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.lab.lab import Lab
from tests.lab.netns import Namespace, netns


@pytest.fixture
def ns() -> Iterator[Namespace]:
    """A network namespace of the test's own."""
    with netns() as space:
        yield space


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of labs that are up, and of those that the failing test left by its exception."""
    report = yield
    if report.failed and item.get_closest_marker("lab"):
        for lab in Lab.running:
            lab.keep_logs()
        report.sections += [(f"log of {name} ({call.when})", text) for name, text in Lab.kept_logs.items()]
    Lab.kept_logs.clear()
    return report
