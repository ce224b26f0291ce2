"""The lab's wires, and that it leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.lab import Lab, LabError
from tests.lab.node import REPOSITORY
from tests.lab.wait import TimedOut, fastest, wait_for

pytestmark = pytest.mark.lab
NAMES = Path("/run/netns")


def _names(pid: int) -> list[Path]:
    return list(NAMES.glob(f"lab-{pid}-*"))


def test_a_node_has_namespaces_and_directories_of_its_own() -> None:
    with Lab(nodes=["laptop", "firewall"]) as lab:
        laptop = lab.nodes["laptop"]
        assert laptop.output(["hostname"]) == "laptop\n"
        assert "eth0" in laptop.output(["ls", "/sys/class/net"])
        assert not laptop.output(["cat", "/etc/resolv.conf"])
        laptop.run(["sh", "-c", "echo hello >/run/here && echo hello >/var/lib/here && echo hello >/etc/here"])
        assert laptop.path("/run/here").read_text() == "hello\n"
        for path in ("/run/here", "/var/lib/here", "/etc/here"):
            assert not Path(path).exists()
            assert not lab.nodes["firewall"].path(path).exists()


def test_the_internet_is_reached_over_each_isp() -> None:
    with Lab() as lab:
        for isp in ("kpn-isp", "odido-isp"):
            for target in ("203.0.113.7", "2001:db8:f::7"):
                lab.nodes[isp].run(["ping", "-c1", "-W2", target])


def test_a_failing_command_says_what_it_said() -> None:
    with Lab(nodes=["laptop"]) as lab:
        with pytest.raises(AssertionError, match=r"laptop: sh -c echo broken >&2; exit 3 exited 3: broken"):
            lab.nodes["laptop"].run(["sh", "-c", "echo broken >&2; exit 3"])
        assert lab.nodes["laptop"].run(["false"], check=False).returncode == 1


def test_a_command_enters_in_less_than_20_ms() -> None:
    with Lab(nodes=["laptop"]) as lab:
        assert fastest(lambda: lab.nodes["laptop"].run(["true"])) < 0.02


def test_a_socket_belongs_to_the_node() -> None:
    with Lab(nodes=["internet", "kpn-isp"]) as lab:
        with lab.nodes["internet"].socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(("203.0.113.7", 9))
            listener.settimeout(2)
            with lab.nodes["kpn-isp"].socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"ping", ("203.0.113.7", 9))
            data, source = listener.recvfrom(100)
        assert data == b"ping"
        assert source[0] == "203.0.113.1"


def test_nothing_is_left_after_an_exception() -> None:
    started: list[subprocess.Popen[str]] = []

    def story() -> None:
        with Lab(nodes=["laptop"]) as lab:
            started.append(lab.nodes["laptop"].spawn(["tail", "-f", "/dev/null"], "daemon"))
            assert _names(os.getpid())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        story()
    assert started[0].returncode is not None
    assert not _names(os.getpid())


def test_an_unknown_node_is_refused() -> None:
    with pytest.raises(LabError, match="no such node: fridge"):
        Lab(nodes=["fridge"])


SCRIPT = """
import signal
from tests.lab.lab import Lab
with Lab(nodes=["laptop"]) as lab:
    # Orphaned, in a session of its own: nothing but the namespace's end can reach it.
    lab.nodes["laptop"].run(["sh", "-c", "setsid tail -f /run/.lab/etc/hostname >/dev/null 2>&1 </dev/null &"])
    print(lab.nodes["laptop"].pid, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(number: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        init = int(process.stdout.readline())
        namespace = Path(f"/proc/{init}/ns/net").readlink()
        members = [p for p in Path("/proc").glob("[0-9]*") if _in(p, namespace)]
        assert len(members) == 2
        assert _names(process.pid)
        process.send_signal(number)
        process.wait(10)
    wait_for(lambda: not _names(process.pid), 5, "the names of the namespaces to go")
    wait_for(lambda: not any(_in(p, namespace) for p in members), 5, "the node's processes to go")


def test_names_that_a_killed_holder_left_are_removed_by_the_next_lab() -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        init = int(process.stdout.readline())
        namespace = Path(f"/proc/{init}/ns/net").readlink()
        holder = int(Path(f"/proc/{init}/stat").read_text().rpartition(")")[2].split()[1])
        process.kill()
        os.kill(holder, signal.SIGKILL)
        process.wait(10)
    wait_for(lambda: not any(_in(p, namespace) for p in Path("/proc").glob("[0-9]*")), 5, "the processes to go")
    assert _names(process.pid)
    with Lab(nodes=["laptop"]):
        assert not _names(process.pid)


def _in(process: Path, namespace: Path) -> bool:
    try:
        return (process / "ns/net").readlink() == namespace
    except OSError:
        return False


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(TimedOut, match=r"waited 0\.02 s for rain"):
        wait_for(lambda: None, 0.02, "rain")
    assert wait_for(lambda: 7) == 7
