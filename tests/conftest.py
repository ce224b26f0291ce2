"""Tests marked `lab` run wherever namespaces can be made; elsewhere they are skipped, with the reason."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Where a shell started this in the background it ignores SIGINT, and so would all that the tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where there is none."""
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root: namespaces and packet sockets")
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Keep why tests were skipped for the last lines of .ci/run, which may run some tests a second time."""
    if config.getoption("lf", default=False):
        return
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    )
    path = Path(config.rootpath, ".pytest_cache", "skipped")
    if path.parent.is_dir():
        path.write_text("".join(f"skipped {count}: {reason}\n" for reason, count in sorted(reasons.items())))
