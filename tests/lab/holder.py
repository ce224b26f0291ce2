"""Holds the lab's namespaces: one PID 1 per node, all of them gone when this process or the lab goes.

Run as `python3 -I -S holder.py`. Standard input: one line of JSON, a list of `{"name", "files", "sysctls"}`; then
nothing: its end, however it comes about, is the order to remove everything. Standard output: one line of JSON,
`{name: pid}`. Names appear as /run/netns/<prefix>-<name>, for `ip netns exec`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.lab import kernel

NAMES = Path("/run/netns")
PRIVATE = Path("/run/.lab")


def _write(path: Path, spec: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if "link" in spec:
        path.symlink_to(spec["link"])
        return
    path.write_text(spec["text"])
    path.chmod(spec.get("mode", 0o644))


def _mounts(files: dict[str, dict[str, Any]]) -> None:
    """Make /run, /var/lib, /proc and /sys the node's own, and lay its files over the host's /etc and /usr/lib."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    while kernel.unmount(str(NAMES)):  # else this node would keep the namespaces of other labs alive
        pass
    kernel.mount("tmpfs", "/run", "tmpfs", options="mode=755")
    kernel.mount("tmpfs", "/var/lib", "tmpfs", options="mode=755")
    kernel.mount("proc", "/proc", "proc")
    kernel.mount("sysfs", "/sys", "sysfs")
    for part in ("etc", "work", "lib"):
        (PRIVATE / part).mkdir(parents=True)
    for directory, mode in (("/run/lock", 0o1777), ("/run/secrets", 0o700), ("/run/log", 0o755)):
        Path(directory).mkdir()
        Path(directory).chmod(mode)
    kernel.mount("overlay", "/etc", "overlay", options=f"lowerdir=/etc,upperdir={PRIVATE}/etc,workdir={PRIVATE}/work")
    over_lib = {path: spec for path, spec in files.items() if path.startswith("/usr/lib/")}
    for path, spec in over_lib.items():
        _write(PRIVATE / "lib" / Path(path).relative_to("/usr/lib"), spec)
    if over_lib:
        kernel.mount("overlay", "/usr/lib", "overlay", kernel.MS_RDONLY, f"lowerdir={PRIVATE}/lib:/usr/lib")
    for path, spec in files.items():
        if path not in over_lib:
            _write(Path(path), spec)


def _be_init(node: dict[str, Any], ready: int) -> None:
    """PID 1 of a node: set the namespaces up, report, then only reap orphans."""
    kernel.die_with_parent()
    os.setsid()
    try:
        kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS)
        socket.sethostname(node["name"])
        _mounts(node["files"])
        for name, value in node["sysctls"]:
            Path("/proc/sys", name.replace(".", "/")).write_text(value)
    except OSError as error:
        os.write(ready, f"node {node['name']}: {error}".encode())
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    os.closerange(0, 1024)
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def _start(node: dict[str, Any], own: int) -> tuple[int, int]:
    """Fork the PID 1 of `node`; returns its pid and the pipe that ends when it is set up."""
    reading, writing = os.pipe()
    kernel.unshare(kernel.CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_init(node, writing)
    os.close(writing)
    kernel.setns(own, kernel.CLONE_NEWPID)
    return pid, reading


def _prune() -> None:
    """Remove the names that a lab left which was killed together with its holder."""
    for name in NAMES.glob("lab-*-*"):
        if not Path("/proc", name.name.split("-")[1]).exists():
            _forget(name)


def _name(pid: int, name: str) -> None:
    path = NAMES / name
    path.touch(mode=0o000)
    kernel.mount(f"/proc/{pid}/ns/net", str(path), flags=kernel.MS_BIND)


def _forget(path: Path) -> None:
    kernel.unmount(str(path))
    path.unlink(missing_ok=True)


def main() -> int:
    """Make the nodes, report their pids, wait for the end of standard input, remove all."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the lab's order is the end of the pipe
    prefix, nodes = json.loads(sys.stdin.buffer.readline())
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    pids: dict[str, int] = {}
    status = 0
    try:
        pipes = []
        for node in nodes:
            pids[node["name"]], pipe = _start(node, own)
            pipes.append(pipe)
        errors = b"; ".join(filter(None, (os.read(pipe, 4096) for pipe in pipes)))
        NAMES.mkdir(exist_ok=True)
        _prune()
        if errors:
            print(json.dumps({"error": errors.decode()}), flush=True)
            status = 1
        else:
            for name, pid in pids.items():
                _name(pid, f"{prefix}-{name}")
            print(json.dumps(pids), flush=True)
            sys.stdin.buffer.read()
    finally:
        for name, pid in pids.items():
            os.kill(pid, signal.SIGKILL)
            _forget(NAMES / f"{prefix}-{name}")
    # No waiting for the pids: they end when their last members are reaped, which may be the lab's to do.
    return status


if __name__ == "__main__":
    sys.exit(main())
