"""A compose project in the machine: the looks into it that cost an emulated processor little, and its wires."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.engine.project import Project
from tests.lab.wait import wait_for

OUT = Path("/mnt/out")
MORE = "../tests/vm/guest/containers"
KPN = ("kpn-demo.yaml", f"{MORE}/quiet.yaml")
DUAL = ("kpn-demo.yaml", "dual-uplink.yaml", f"{MORE}/quiet.yaml", f"{MORE}/more.yaml")
TARGETS = {4: "203.0.113.7", 6: "[2001:db8:f::7]"}
# How a client's addresses begin when it goes out by kpn: its host's bits follow the prefix.
KPN_SOURCES = {4: "192.0.2.", 6: "2001:db8:a100:10:"}
PAGE = "You reached the internet from "


@dataclass(frozen=True)
class Demo(Project):
    """A project whose containers are asked by `docker exec`: `docker compose exec` takes seconds here."""

    files: tuple[str, ...] = KPN
    name: str = "router-kpn"

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.name}-{service}-1"

    def run(self, service: str, *argv: str, check: bool = True) -> str:
        """Run a command in a service's container."""
        return self.engine.docker("exec", self.container(service), *argv, check=check)

    def process(self, service: str) -> str:
        """The process id of a service's container: it changes with each start."""
        return self.inspect(service, "{{.State.Pid}}")

    def seen(self, process: str, family: int) -> str:
        """A client's address as the internet host's web page tells it; empty when the page does not come.

        busybox in the network of the client's process: a `docker exec` would take longer than all the rest.
        """
        argv = ("nsenter", "-t", process, "-n", "timeout", "5", "busybox", "wget", "-qO-", f"http://{TARGETS[family]}/")
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout.strip().removeprefix(PAGE)

    def bridge(self, network: str) -> str:
        """The bridge of a network of the project."""
        found = self.engine.docker("network", "inspect", "--format", "{{.Id}}", f"{self.name}_{network}")
        return f"br-{found[:12]}"

    def logs(self, service: str) -> str:
        """All that a service's container has said."""
        return self.engine.docker("logs", self.container(service), check=False)

    def status(self, service: str) -> str:
        """`routerctl status`."""
        return self.run(service, "routerctl", "status", check=False)

    def story(self) -> str:
        """What the containers and their routers say of themselves, for the report of a failure."""
        text = self.engine.docker("ps", "-a", check=False)
        for name in self.engine.docker("ps", "-a", "--format", "{{.Names}}", check=False).split():
            if "ingress" in name or "firewall" in name:
                text += f"--- {name}\n{self.engine.docker('exec', name, 'routerctl', 'status', check=False)}\n"
            text += f"--- log of {name}\n{self.engine.docker('logs', '--tail', '60', name, check=False)}\n"
        return text


def browses(demo: Demo, client: str, sources: Mapping[int, str], timeout: float = 90.0) -> None:
    """Wait until the internet sees a client from these: family → how its address begins."""
    process = demo.process(client)
    for family, source in sources.items():
        seen = [""]

        def there(family: int = family, source: str = source, seen: list[str] = seen) -> bool:
            seen[0] = demo.seen(process, family)
            return seen[0].startswith(source)

        wait_for(there, timeout, lambda s=seen, w=source: f"{client} to be seen from {w}…, not `{s[0]}`", interval=1.0)  # type: ignore[misc]


class Wire:
    """What crosses a bridge while the block runs, in tcpdump's words."""

    def __init__(self, bridge: str, name: str) -> None:
        self._bridge, self._path = bridge, Path(f"/run/{name}.pcap")
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> Self:
        argv = ["tcpdump", "-i", self._bridge, "-U", "-s", "400", "-B", "8192", "-w", str(self._path)]
        self._process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self._process.stderr is not None
        assert any(b"listening on" in line for line in self._process.stderr), "tcpdump did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)

    def wait(self, expression: str, word: str, *options: str) -> None:
        """Wait until a word stands in the text: tcpdump is told of packets in batches."""
        wait_for(lambda: word in self.text(expression, *options), 15, f"{word} on the wire ({expression})")

    def text(self, expression: str, *options: str) -> str:
        """What was seen so far of this filter."""
        argv = ["tcpdump", "-r", str(self._path), "-n", "-e", *options, expression]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
