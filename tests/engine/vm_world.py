"""The hoster's world with a real Docker engine in its VM vmx, our daemon.json, and the docker-host agent beside it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Self

from agent.config import load
from agent.plan.machine import docker_machine
from agent.render.machine_docker import daemon_json
from tests.engine import base
from tests.engine.engine import Engine
from tests.engine.machine import engine_in
from tests.lab.exposure_world import ENVIRONMENT
from tests.lab.hoster_world import CONFIG, OUTSIDE6, HosterWorld
from tests.lab.netns import Namespace
from tests.lab.wait import wait_for

VM = "vmx"
PORT = 443
# Answers each connection with the address that it came from.
SERVER = (
    f"use IO::Socket::IP; my $s = IO::Socket::IP->new(LocalPort => {PORT}, Listen => 9, V6Only => 0, ReuseAddr => 1,"
    " Family => 10) or die $@; while (my $c = $s->accept) { print $c $c->peerhost; close $c }"
)


class VmWorld(HosterWorld):
    """`engine` runs in vmx, which may expose TCP port 443. Raises EngineMissingError where none can run."""

    def __init__(self) -> None:
        text = CONFIG.read_text()
        mac = 'mac: "02:00:00:00:03:e8"'
        assert mac in text
        super().__init__(text.replace(mac, f"{mac}, may_expose: {{ tcp: {PORT} }}"))
        self._more = ExitStack()
        self.engine: Engine

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._start()
        except BaseException:
            self.keep_logs()
            self.close()
            raise
        return self

    def close(self) -> None:
        self._more.close()
        super().close()

    def _start(self) -> None:
        node = self.nodes[VM]
        node.ip("addr add 10.10.10.13/24 dev eth1", "route add default via 10.10.10.2")
        directory = Path(tempfile.mkdtemp(prefix="vmx-"))
        self._more.callback(shutil.rmtree, directory, ignore_errors=True)
        machine = docker_machine(load(CONFIG, {}), VM)
        space = Namespace(f"{self.prefix}-{VM}")
        self.engine = self._more.enter_context(engine_in(space, directory, daemon_json(machine)))
        files = {"/run/vm/router.yaml": self._text, "/run/secrets/bus_ca.pem": self._cert}
        files["/run/secrets/bus_password"] = f"secret-of-{VM}\n"
        for name, content in files.items():
            node.path(name).parent.mkdir(exist_ok=True)
            node.path(name).write_text(content)
        node.environment |= {**ENVIRONMENT, "ROUTER_NODE": VM, "DOCKER_HOST": f"unix://{directory}/docker.sock"}
        node.spawn(["router-agent", "run"], "agent")
        wait_for(lambda: self.exposures()["hosts"][VM]["agent"] == "ready", 30, self.said)

    def exposures(self) -> dict[str, Any]:
        """`routerctl exposures --json` on the firewall."""
        return dict(json.loads(self.ctl("firewall", "exposures", "--json")))

    def said(self) -> str:
        """What is known, for a failure's text."""
        return f"{json.dumps(self.exposures(), indent=1)}\n{self.nodes[VM].log('agent')[-3000:]}"

    def create(self, name: str, *options: str) -> None:
        """A container that serves, not started yet."""
        self.engine.docker("create", "--name", name, *options, base.IMAGE, "perl", "-e", SERVER)

    def address(self, name: str) -> IPv6Address:
        """Its address, while it runs."""
        networks = json.loads(self.engine.docker("inspect", name))[0]["NetworkSettings"]["Networks"]
        return next(IPv6Address(network["GlobalIPv6Address"]) for network in networks.values())

    def asked(self, address: IPv6Address, timeout: float = 0.3) -> bool:
        """Whether a connection from outside to the port arrives, and as what it is."""
        with self.nodes["outside"].socket(socket.AF_INET6, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect((str(address), PORT))
                return connection.recv(100) == OUTSIDE6.encode()
            except OSError:
                return False

    def forwards(self, address: IPv6Address) -> bool:
        """Whether the firewall has it open."""
        table = ["nft", "get", "element", "inet", "router", "exposed6", f"{{ {address} . tcp . {PORT} }}"]
        return self.nodes["firewall"].run(table, check=False).returncode == 0


def start_time(engine: Engine, name: str, which: str = "StartedAt") -> float:
    """When the engine says that a container was started or ended: seconds of the wall clock."""
    text = engine.docker("inspect", "--format", f"{{{{.State.{which}}}}}", name).strip()
    done = subprocess.run(["date", "-d", text, "+%s.%N"], capture_output=True, text=True, check=True)
    return float(done.stdout)


def took(since: float) -> float:
    """Milliseconds since then."""
    return (time.time() - since) * 1000
