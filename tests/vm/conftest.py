"""Runs the machine once for all its tests, once more for those of the containers, and hands each its own result."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.vm import build, containers
from tests.vm.run import run

# Enough on two idle cores three times over; a machine that is busy with other things may be given more.
SECONDS = int(os.environ.get("VM_SECONDS", "540"))
ENGINE_SECONDS = int(os.environ.get("VM_SECONDS", "900"))
GUEST = Path(__file__).parent / "guest"
CONTAINERS = GUEST / "containers"
ENGINE = f". {CONTAINERS.relative_to(build.REPOSITORY)}/engine.sh\n"
SCRIPT = """\
python -c 'import agent.app'  # from the disk once, for the agents that start together later
python -m pytest -v --color=no -W ignore -p no:randomly -p no:hypothesispytest -p no:cacheprovider \\
    -o norecursedirs= -o timeout=480 --junitxml=/mnt/out/junit.xml {paths} 2>&1 |
    tee /mnt/out/log | grep --line-buffered -E '(PASSED|FAILED|ERROR|SKIPPED|=====)'
test -f /mnt/out/junit.xml
"""


def guest_tests(directory: Path = GUEST) -> list[str]:
    """`test_file::test_name` of all that runs in the machine, as written: parameters are counted together."""
    found = []
    for path in sorted(directory.glob("test_*.py")):
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
    for name, test, word in re.findall(r"(\w+)\.py::(\w+)\S* (PASSED|FAILED|ERROR|SKIPPED)", text):
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


Results: TypeAlias = dict[str, list[Result]]


def _run(
    request: pytest.FixtureRequest, directory: Path, seconds: int, prelude: str = "", disk: Path | None = None
) -> Results:
    """Run those of a directory's tests that this session selected."""
    fixture = request.fixturename
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    wanted = {str(item.callspec.params["name"]) for item in items if fixture in item.fixturenames}
    here = directory.relative_to(build.REPOSITORY)
    files = sorted({f"{here}/{name.partition('::')[0]}.py" for name in wanted})
    results = Path(tempfile.mkdtemp(prefix="vm-results-"))
    script = prelude + SCRIPT.format(paths=" ".join(files))
    try:
        run(script, results, seconds=seconds, disk=disk, progress=_progress(request))
        return _results(results / "junit.xml")
    finally:
        shutil.rmtree(results)


def _progress(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Shows lines although pytest captures."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def progress(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", end="", flush=True)

    return progress


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Results:
    """Results by `test_file::test_name`, of the tests that this run selected."""
    if reason := build.missing():
        pytest.skip(reason)
    return _run(request, GUEST, SECONDS)


@pytest.fixture(scope="session")
def engine_machine(request: pytest.FixtureRequest) -> Results:
    """The same of the tests of the images and compose projects, in a machine with a Docker engine."""
    if reason := build.missing():
        pytest.skip(reason)
    try:
        with containers.disk(_progress(request)) as disk:
            return _run(request, CONTAINERS, ENGINE_SECONDS, ENGINE, disk)
    except build.MissingError as error:
        pytest.skip(str(error))
