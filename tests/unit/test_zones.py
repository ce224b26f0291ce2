"""The checker of a zone never keeps the agent from stopping."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from agent.drivers import zones
from agent.drivers.zones import Zones

# It says that it runs; it ends by itself, some day.
CHECKER = """#!{python} -IS
import os, pathlib, time
here = pathlib.Path({here!r})
(here / "pid.new").write_text(str(os.getpid()))
(here / "pid.new").rename(here / "pid")
time.sleep({seconds})
(here / "ended").touch()
"""


def checker(directory: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    program = directory / "named-checkzone"
    program.write_text(CHECKER.format(python=sys.executable, here=str(directory), seconds=seconds))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def gone(directory: Path) -> bool:
    told = directory / "pid"
    return not told.exists() or not Path("/proc", told.read_text()).exists()


def test_an_agent_that_stops_waits_for_no_checker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checker(tmp_path, monkeypatch, seconds=15)
    kept = Zones(tmp_path / "named")
    kept.prepare(["home.arpa"])

    async def run() -> None:
        healing = asyncio.create_task(kept.heal("home.arpa"))
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.01)
        healing.cancel()
        with suppress(asyncio.CancelledError):
            await healing

    asyncio.run(run())
    assert not (tmp_path / "ended").exists(), "the checker was waited for"
    assert gone(tmp_path), "the checker was left behind"
    assert not kept.broken()


async def test_a_checker_that_does_not_end_puts_nothing_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checker(tmp_path, monkeypatch, seconds=60)
    monkeypatch.setattr(zones, "CHECK_TIMEOUT", 1.0)
    kept = Zones(tmp_path / "named")
    kept.prepare(["home.arpa"])
    with pytest.raises(TimeoutError, match="did not end in 1 s"):
        await kept.heal("home.arpa")
    assert gone(tmp_path), "the checker was left behind"
    assert not kept.broken()
