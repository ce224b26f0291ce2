"""The sysctl driver: on files, and on the kernel's own /proc/sys in a namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.drivers.sysctl import Sysctl, SysctlError
from tests.lab.netns import netns


def make(root: Path, key: str, value: str) -> Path:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)
    return path


def test_dots_and_slashes(tmp_path: Path) -> None:
    forward = make(tmp_path, "net/ipv4/ip_forward", "0\n")
    dotted = make(tmp_path, "net/ipv6/conf/eth0.10/accept_ra", "1\n")
    Sysctl(tmp_path).apply((("net.ipv4.ip_forward", "1"), ("net/ipv6/conf/eth0.10/accept_ra", "2")))
    assert (forward.read_text(), dotted.read_text()) == ("1\n", "2\n")


def test_writes_only_what_differs(tmp_path: Path) -> None:
    same = make(tmp_path, "net/ipv4/ip_local_port_range", "32768\t60999\n")
    os.utime(same, (1, 1))
    Sysctl(tmp_path).apply((("net.ipv4.ip_local_port_range", "32768 60999"),))
    assert same.stat().st_mtime == 1


def test_what_cannot_be_is_told_with_the_rest_done(tmp_path: Path) -> None:
    forward = make(tmp_path, "net/ipv4/ip_forward", "0\n")
    with pytest.raises(SysctlError) as raised:
        Sysctl(tmp_path).apply((
            ("net.ipv4.conf.wan.rp_filter", "0"),
            ("net/../etc", "1"),
            ("net..ipv4", "1"),
            ("net.ipv4.ip_forward", "1"),
        ))  # fmt: skip
    messages = [problem.message for problem in raised.value.problems]
    assert messages == [
        "net.ipv4.conf.wan.rp_filter=0: No such file or directory",
        "net/../etc=1: not the name of a kernel parameter",
        "net..ipv4=1: not the name of a kernel parameter",
    ]
    assert "the interface does not exist" in raised.value.hint
    assert forward.read_text() == "1\n"


def test_a_read_only_tree_names_the_mend() -> None:
    """A file that root cannot write: the kernel's own /proc/version refuses as a read-only /proc/sys does."""
    with pytest.raises(SysctlError) as raised:
        Sysctl(Path("/proc")).apply((("sys.kernel.osrelease", "1"),))
    assert "systempaths=unconfined" in raised.value.hint


@pytest.mark.lab
def test_the_kernel_takes_it() -> None:
    with netns() as ns:
        ns.sh("ip link add name eth0.10 type veth peer name p")
        keys = ("net.ipv4.ip_forward", "net/ipv6/conf/eth0.10/accept_ra", "net.ipv4.ip_local_port_range")
        ns.call(lambda: Sysctl().apply(tuple(zip(keys, ("1", "2", "40000 50000"), strict=True))))
        read = ns.sh(
            "cd /proc/sys; cat net/ipv4/ip_forward net/ipv6/conf/eth0.10/accept_ra net/ipv4/ip_local_port_range"
        )
        assert read.split() == ["1", "2", "40000", "50000"]


@pytest.mark.lab
def test_a_read_only_proc_sys_names_the_mend(tmp_path: Path) -> None:
    """What a container without `systempaths=unconfined` has."""
    code = (
        "from agent.drivers.sysctl import *\n"
        "try: Sysctl().apply((('net.ipv4.ip_local_port_range', '40000 50000'),))\n"
        "except SysctlError as error: print(error, error.hint, sep='|')"
    )
    script = tmp_path / "read_only.py"
    script.write_text(code)
    root = Path(__file__).parents[2]
    with netns() as ns:
        out = ns.sh(
            f"cd {root}; unshare -m sh -euc 'mount -t proc -o ro proc /proc; PYTHONPATH=. .venv/bin/python {script}'"
        )
    assert out.startswith("net.ipv4.ip_local_port_range=40000 50000: Read-only file system|")
    assert "systempaths=unconfined" in out
