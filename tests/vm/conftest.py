"""Runs the machine once for all its tests, and hands each its own result."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm import build
from tests.vm.run import run

# Enough on two idle cores three times over; a machine that is busy with other things may be given more.
SECONDS = int(os.environ.get("VM_SECONDS", "540"))
GUEST = Path(__file__).parent / "guest"
SCRIPT = """\
python -c 'import agent.app'  # from the disk once, for the agents that start together later
python -m pytest -v --color=no -W ignore -p no:randomly -p no:hypothesispytest -p no:cacheprovider \\
    -o norecursedirs= -o timeout=240 --junitxml=/mnt/out/junit.xml {paths} 2>&1 |
    tee /mnt/out/log | grep --line-buffered -E '(PASSED|FAILED|ERROR|SKIPPED|=====)'
test -f /mnt/out/junit.xml
"""


def guest_tests() -> list[str]:
    """`test_file::test_name` of all that runs in the machine, as written: parameters are counted together."""
    found = []
    for path in sorted(GUEST.glob("test_*.py")):
        found += [f"{path.stem}::{name}" for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)]
    return found


@dataclass(frozen=True)
class Result:
    """How a test in the machine ended. `outcome`: passed, failed or skipped; `text` says why."""

    outcome: str
    text: str = ""


def _logs(results: Path, case: ET.Element) -> str:
    """What the guest's conftest saved of a failed test."""
    path = results / f"{case.get('name')}.log"
    return f"\n{path.read_text(errors='replace')}" if path.exists() else ""


def _unfinished(log: Path) -> dict[str, list[Result]]:
    """What the machine's pytest said before it was stopped in the middle, without the reasons."""
    results: dict[str, list[Result]] = {}
    text = log.read_text(errors="replace") if log.exists() else ""
    for name, test, word in re.findall(r"guest/(\w+)\.py::(\w+)\S* (PASSED|FAILED|ERROR|SKIPPED)", text):
        outcome = {"PASSED": "passed", "SKIPPED": "skipped"}.get(word, "failed")
        results.setdefault(f"{name}::{test}", []).append(Result(outcome, "the machine was stopped in the middle"))
    return results


def _results(junit: Path) -> dict[str, list[Result]]:
    if not junit.exists():
        return _unfinished(junit.with_name("log"))
    results: dict[str, list[Result]] = {}
    for case in ET.parse(junit).iter("testcase"):  # noqa: S314 - written by our own run
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name', '').partition('[')[0]}"
        result = Result("passed")
        for child in case:
            if child.tag in {"failure", "error", "skipped"}:
                text = str(child.text or child.get("message") or "") + _logs(junit.parent, case)
                result = Result("skipped" if child.tag == "skipped" else "failed", text)
        results.setdefault(name, []).append(result)
    return results


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Iterator[dict[str, list[Result]]]:
    """Results by `test_file::test_name`, of the tests that this run selected."""
    if reason := build.missing():
        pytest.skip(reason)
    ours = (item for item in request.session.items if item.path.parent == GUEST.parent)
    wanted = {str(item.callspec.params["name"]) for item in ours if isinstance(item, pytest.Function)}
    files = sorted({f"tests/vm/guest/{name.partition('::')[0]}.py" for name in wanted})
    capture = request.config.pluginmanager.getplugin("capturemanager")
    results = Path(tempfile.mkdtemp(prefix="vm-results-"))

    def progress(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", end="", flush=True)

    try:
        run(SCRIPT.format(paths=" ".join(files)), results, seconds=SECONDS, progress=progress)
        yield _results(results / "junit.xml")
    finally:
        shutil.rmtree(results)
