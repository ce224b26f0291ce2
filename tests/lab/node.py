"""A node: a network, mount, process and host name space of its own, entered by `run`, `popen` and `socket`."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab import kernel
from tests.lab.topology import NodeSpec

REPOSITORY = Path(__file__).resolve().parents[2]
LAB = REPOSITORY / "tests" / "lab"
# dinitctl is the stand-in's; router-agent and routerctl are the virtual environment's, as in the image.
PATH = f"{LAB}/bin:{REPOSITORY}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SPACES = {"net": "net", "mount": "mnt", "uts": "uts"}
_forking = threading.Lock()


class Node:
    """One node of a running lab. `pid` is that of its PID 1 as the host sees it."""

    def __init__(self, spec: NodeSpec, pid: int, environment: Mapping[str, str]) -> None:
        self.spec = spec
        self.name = spec.name
        self.pid = pid
        self.environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", **environment}
        self.processes: list[subprocess.Popen[Any]] = []

    def __repr__(self) -> str:
        return f"<Node {self.name}>"

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start `argv` inside the node; `options` are those of subprocess.Popen.

        The process is a direct child of the caller (its pid is the host's, signals and `wait` work), in a session of
        its own, and ends with the lab at the latest. `env` adds to the node's environment.
        """
        environment = {**self.environment, **(options.pop("env", None) or {})}
        # Not `-t PID`: nsenter runs in the node's process namespace already and would ask (util-linux 2.41, pidfd_open)
        # for that number there, where a zombie may have it; "Invalid argument" then ran nothing, now and then.
        spaces = (f"--{name}=/proc/{self.pid}/ns/{file}" for name, file in _SPACES.items())
        command = ["nsenter", *spaces, "--", *argv]
        options.setdefault("start_new_session", True)
        # nsenter execs in place; only a new process can be in another PID namespace, so this thread orders that for
        # its next child and takes the order back.
        with _forking:
            own, theirs = (os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY) for pid in ("self", self.pid))
            kernel.setns(theirs, kernel.CLONE_NEWPID)
            try:
                process: subprocess.Popen[Any] = subprocess.Popen(command, env=environment, **options)
            finally:
                kernel.setns(own, kernel.CLONE_NEWPID)
                os.close(own)
                os.close(theirs)
        self.processes.append(process)
        return process

    def run(
        self, argv: Sequence[str], *, check: bool = True, stdin: str | None = None, timeout: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `argv` inside the node and return its outcome, output as text.

        Raises AssertionError with the output when it fails and `check` is set, subprocess.TimeoutExpired after
        `timeout` seconds.
        """
        source = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
        with self.popen(argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                out, err = process.communicate(stdin, timeout)
            except BaseException:
                process.kill()
                raise
        self.processes.remove(process)
        if check and process.returncode != 0:
            raise AssertionError(f"{self.name}: {' '.join(argv)} exited {process.returncode}: {out}{err}".strip())
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    def output(self, argv: Sequence[str]) -> str:
        """Standard output of `argv`; AssertionError when it fails."""
        return self.run(argv).stdout

    def spawn(self, argv: Sequence[str], log: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a daemon that the lab ends; its output is appended to the node's /run/log/`log`."""
        with self.path(f"/run/log/{log}").open("ab") as output:
            return self.popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)

    def log(self, name: str) -> str:
        """Text of the node's /run/log/`name`, empty where there is none."""
        path = self.path(f"/run/log/{name}")
        return path.read_text(errors="replace") if path.exists() else ""

    def path(self, path: str) -> Path:
        """The node's `path` as a path of the host's, for reading, writing and connecting."""
        return Path(f"/proc/{self.pid}/root{path}")

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of the node's network, usable from any thread of this process."""
        own, theirs = (os.open(f"/proc/{place}/ns/net", os.O_RDONLY) for place in ("thread-self", self.pid))
        try:
            kernel.setns(theirs, kernel.CLONE_NEWNET)
            try:
                return socket.socket(family, kind, protocol)
            finally:
                kernel.setns(own, kernel.CLONE_NEWNET)
        finally:
            os.close(own)
            os.close(theirs)

    def ip(self, *commands: str) -> None:
        """Run `ip` commands as one batch, each as text: `node.ip("link set wan down")`."""
        self.run(["ip", "-batch", "-"], stdin="\n".join(commands) + "\n")

    def sysctl(self, name: str, value: str) -> None:
        """Set a network sysctl of the node: `node.sysctl("net.ipv6.conf.wan.mtu", "1400")`."""
        self.run(["sysctl", "-qw", f"{name}={value}"])

    def addresses(self, interface: str, family: int) -> list[str]:
        """Global addresses of an interface, without prefix length; tentative ones left out. Family 4 or 6."""
        argv = ["ip", f"-{family}", "-o", "addr", "show", "dev", interface, "scope", "global", "-tentative"]
        return [line.split()[3].partition("/")[0] for line in self.output(argv).splitlines()]
