"""A router's container in the lab: the files its image and its mounts would bring, and its services."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.lab.internet import EMULATED_DNS
from tests.lab.node import LAB, Node
from tests.lab.services_of import helper_files, service_files
from tests.lab.topology import ROUTERS, NodeSpec
from tests.lab.wait import wait_for

CONFIG = LAB / "router.yaml"
LOG = "services"
# Users of the bus and their passwords, fixed: a lab's secrets protect nothing.
PASSWORDS = {name: f"secret-of-{name}" for name in (*ROUTERS, "observer")}


def environment(spec: NodeSpec) -> dict[str, str]:
    """What image and compose file give a router's container."""
    if spec.name not in ROUTERS:
        return {}
    # Trixie's Kea 2.6.3 writes leases in no other directory than this.
    kea = {"KEA_DHCP_DATA_DIR": "/var/lib/router/kea"}
    # Its name is enough for Trixie's Kea to find a hook; bookworm's 2.2 needs the loader's help.
    for path in Path("/usr/lib").glob("*/kea/hooks"):
        kea["LD_LIBRARY_PATH"] = str(path)
    return {"ROUTER_NODE": spec.name, "ROUTER_CONFIG": "/etc/router/router.yaml", **kea}


def files(spec: NodeSpec, config: str) -> dict[str, Any]:
    """Path → content of what image and mounts bring; `config` is the text of router.yaml."""
    if spec.name not in ROUTERS:
        return {}
    found: dict[str, Any] = {"/etc/router/router.yaml": {"text": config}}
    found |= {f"/etc/dinit.d/{name}": {"link": str(path)} for name, path in service_files(spec.kind).items()}
    found |= {f"/usr/lib/router/{name}": {"link": str(path)} for name, path in helper_files(spec.kind).items()}
    if spec.kind == "ingress":
        found["/var/lib/dhcpcd"] = {"link": "/var/lib/router/dhcpcd"}
    found["/run/secrets/bus_password"] = {"text": f"{PASSWORDS[spec.name]}\n", "mode": 0o600}
    if spec.kind == "firewall":
        users = "".join(f"{user}:{password}\n" for user, password in PASSWORDS.items())
        found["/run/secrets/bus_users"] = {"text": users, "mode": 0o600}
        # The trust store: whom named believes of certificates and of the root zone.
        found["/etc/ssl/certs/ca-certificates.crt"] = {"text": (EMULATED_DNS / "ca.pem").read_text()}
        found["/etc/bind/bind.keys"] = {"text": (EMULATED_DNS / "bind.keys").read_text()}
    return found


class Services:
    """The services of one node, by the stand-in for dinit, from the service files in `directory`.

    `target`: the service that is started, with all it depends on.
    """

    def __init__(self, node: Node, directory: str = "/etc/dinit.d", target: str = "boot") -> None:
        self.node = node
        self._directory = directory
        self._target = target
        self._process: subprocess.Popen[Any] | None = None

    def start(self, timeout: float = 20.0) -> None:
        """Start the target and wait until it is up. AssertionError with the log's end if it is not."""
        self.launch()
        self.wait_started(timeout)

    def launch(self) -> None:
        """Start the target without waiting."""
        argv = [sys.executable, "-I", "-S", str(LAB / "services.py"), self._directory, self._target]
        self._process = self.node.spawn(argv, LOG)

    def wait_started(self, timeout: float = 20.0) -> None:
        """Wait until the target is up. AssertionError with the log's end if it is not, or never will be."""

        def complaint() -> str:
            return f"{self.node.name}'s services to be up; its log ends:\n{self.log()[-4000:]}"

        wait_for(lambda: self.ended or self.is_started(self._target), timeout, complaint)
        assert not self.ended, f"not up: {complaint()}"

    @property
    def ended(self) -> bool:
        """Whether the stand-in has ended, as dinit does when nothing is up any more."""
        return self._process is None or self._process.poll() is not None

    def stop(self, timeout: float = 20.0) -> None:
        """Stop all services in order, as the end of the container would, and wait for that."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout)
        self._process = None

    def dinitctl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run dinitctl in the node; AssertionError if it fails and `check` is set."""
        return self.node.run(["dinitctl", *arguments], check=check)

    def is_started(self, service: str) -> bool:
        """Whether the service is up now."""
        return self.dinitctl("is-started", service, check=False).returncode == 0

    def pid(self, service: str) -> int | None:
        """The pid of a service's process inside the node, None if it has none."""
        out = self.dinitctl("status", service, check=False).stdout
        return next((int(line.split()[-1]) for line in out.splitlines() if "Process ID:" in line), None)

    def kill(self, service: str, number: int = signal.SIGKILL) -> None:
        """Send the process of a service a signal behind the back of its supervisor."""
        self.node.run(["kill", f"-{number}", str(self.pid(service))])

    def log(self, service: str | None = None) -> str:
        """The log of all services, or the lines of one, without their prefix."""
        text = self.node.log(LOG)
        if service is None:
            return text
        prefix = f"[{service}] "
        return "".join(line.removeprefix(prefix) for line in text.splitlines(keepends=True) if line.startswith(prefix))


def start_all(services: Iterable[Services], timeout: float = 30.0) -> None:
    """Start several nodes' services side by side and wait until all are up."""
    waiting = list(services)
    for one in waiting:
        one.launch()
    for one in waiting:
        one.wait_started(timeout)
