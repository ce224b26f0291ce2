"""`make demo` and `make demo-hoster` tell their whole story, and leave nothing behind, also when interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab
DEMO = [sys.executable, "-u", "-m", "tests.lab.demo"]
HOSTER = [sys.executable, "-u", "-m", "tests.lab.demo_hoster"]
ROOT = Path(__file__).resolve().parents[2]


def traces() -> set[str]:
    """Names of network namespaces, and the host's links."""
    namespaces = Path("/run/netns")
    names = {f"netns {path.name}" for path in namespaces.iterdir()} if namespaces.exists() else set()
    return names | {f"link {path.name}" for path in Path("/sys/class/net").iterdir()}


def of(pid: int, traces_now: set[str]) -> set[str]:
    """Those that carry a process's id; other tests' labs come and go."""
    return {name for name in traces_now if f"-{pid}-" in name}


@pytest.mark.parametrize("command", [DEMO, HOSTER], ids=["home", "hoster"])
def test_the_demo_shows_all_it_promises(command: list[str]) -> None:
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        output, _ = demo.communicate(timeout=110)
    assert demo.returncode == 0, output
    assert "All of it as it should be." in output
    assert "NOT" not in output
    assert of(demo.pid, traces()) == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(number: int) -> None:
    with subprocess.Popen(DEMO, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "1. Two ISPs" in line:
                assert of(demo.pid, traces()), "there is something to leave behind"
                demo.send_signal(number)
                break
        rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, rest
    assert "Traceback" not in rest
    assert of(demo.pid, traces()) == set()
