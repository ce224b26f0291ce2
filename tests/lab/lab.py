"""The lab itself: build the topology, start the parts that are asked for, remove everything."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.lab import router
from tests.lab.clients import start_client, wait_addresses
from tests.lab.internet import Internet
from tests.lab.isp import Isp, isps
from tests.lab.links import wire
from tests.lab.node import LAB, Node
from tests.lab.router import Services
from tests.lab.topology import CLIENTS, NODES, ROUTERS, SPECS, NodeSpec


class LabError(RuntimeError):
    """The lab cannot be built here: the text says what is missing."""


class Lab:
    """The topology of tests/lab/topology.py, running. A context manager; leaving it removes every trace.

    `nodes`: build these only (the switch always is); default all. `config`: the text of the router's configuration,
    default tests/lab/router.yaml. `renew`: seconds after which the ISPs' DHCPv6 clients renew, so the time a change of
    theirs takes at most. Nothing but wires and addresses exists at first; `start_*` start daemons.
    """

    running: ClassVar[set[Lab]] = set()
    kept_logs: ClassVar[dict[str, str]] = {}

    def __init__(self, *, nodes: Iterable[str] | None = None, config: str | None = None, renew: int = 2) -> None:
        wanted = set(SPECS) if nodes is None else {"switch", *nodes}
        if unknown := wanted - set(SPECS):
            raise LabError(f"no such node: {', '.join(sorted(unknown))}")
        self._specs = [spec for spec in NODES if spec.name in wanted]
        self._holder: subprocess.Popen[bytes] | None = None
        self._config = router.CONFIG.read_text() if config is None else config
        self.nodes: dict[str, Node] = {}
        self._renew = renew
        self.services: dict[str, Services] = {}
        self.isp: dict[str, Isp] = {}
        self._internet: Internet | None = None

    def __enter__(self) -> Self:
        try:
            self._hold()
            wire(self.nodes)
        except BaseException:
            self.close()
            raise
        Lab.running.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.keep_logs()
        self.close()

    @property
    def prefix(self) -> str:
        """What the names of the network namespaces begin with: `ip netns exec <prefix>-kpn …`."""
        return f"lab-{os.getpid()}-{id(self) & 0xFFFF:04x}"

    def _files(self, spec: NodeSpec) -> dict[str, Any]:
        own = {"/etc/resolv.conf": {"text": ""}, "/etc/hostname": {"text": f"{spec.name}\n"}}
        return own | router.files(spec, self._config)

    def _hold(self) -> None:
        """Start the holder, whose end is bound to ours by a pipe: even a killed lab leaves nothing."""
        argv = [sys.executable, "-I", "-S", str(LAB / "holder.py")]
        self._holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        nodes = [{"name": s.name, "files": self._files(s), "sysctls": s.sysctls} for s in self._specs]
        self._holder.stdin.write(json.dumps([self.prefix, nodes]).encode() + b"\n")
        self._holder.stdin.flush()
        answer = json.loads(self._holder.stdout.readline() or '{"error": "the holder died; run as root"}')
        if "error" in answer:
            raise LabError(answer["error"])
        self.nodes = {s.name: Node(s, answer[s.name], router.environment(s)) for s in self._specs}
        self.services = {name: Services(node) for name, node in self.nodes.items() if name in ROUTERS}
        self.isp = isps(self.nodes, self._renew)

    @property
    def internet(self) -> Internet:
        """The host of the internet, started at first use."""
        if self._internet is None:
            internet = Internet(self.nodes["internet"])
            internet.start()
            self._internet = internet
        return self._internet

    def start_isps(self, *names: str) -> None:
        """Start those ISPs (default: all) and the host of the internet, and wait until they serve."""
        chosen = [self.isp[name] for name in names or self.isp]
        for isp in chosen:
            isp.start()
        if "internet" in self.nodes:
            _ = self.internet
        for isp in chosen:
            isp.wait_ready()

    def start_clients(self, *names: str) -> None:
        """Start those hosts (default: all), without waiting for addresses: `addresses` does."""
        for name in names or [name for name in CLIENTS if name in self.nodes]:
            start_client(self.nodes[name])

    def addresses(self, name: str, timeout: float = 20.0) -> dict[int, str]:
        """Wait until a host has an address and a default route of both families; returns family → address."""
        return wait_addresses(self.nodes[name], timeout)

    def start(self) -> None:
        """Start everything there is: ISPs, hosts, the router. Waits for the agents, not for uplinks or leases."""
        self.start_isps()
        self.start_clients()
        self.start_router()

    def start_router(self, *names: str) -> None:
        """Start the services of the router's nodes (default: all of them) and wait until their agents are ready."""
        router.start_all(self.services[name] for name in names or self.services)

    def keep_logs(self) -> None:
        """Save the end of every log for the report of a failed test, since they end with the lab."""
        for node in self.nodes.values():
            for path in sorted(node.path("/run/log").iterdir()):
                Lab.kept_logs[f"{node.name}/{path.name}"] = path.read_text(errors="replace")[-6000:]

    def logs(self, name: str) -> str:
        """What the services of a node have said, line by line with the service's name in front."""
        return self.nodes[name].log(router.LOG)

    def close(self) -> None:
        """Remove everything; may be called again."""
        Lab.running.discard(self)
        holder, self._holder = self._holder, None
        if holder is None:
            return
        if self._internet:
            self._internet.stop()
        with contextlib.suppress(BrokenPipeError):
            holder.communicate(timeout=10)
        for node in self.nodes.values():  # killed by the end of their namespace, which waits for them to be reaped
            for process in node.processes:
                process.wait(10)
