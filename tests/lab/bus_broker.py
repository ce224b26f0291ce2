"""A real mosquitto on a free loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.desired.broker import MosquittoAcl, MosquittoConfig
from agent.drivers.bus import BusConfig
from agent.drivers.passwords import write_passwords
from agent.render.mosquitto import render_mosquitto, render_mosquitto_acl
from tests.lab.wait import wait_for

SITE = "home"
USERS = ("kpn", "odido", "firewall", "observer")
# Seconds; shorter than ours, for the sake of the tests. mosquitto looks once a second.
WILL_DELAY = 2
_AGENT = """
import asyncio, sys
from pathlib import Path
from agent.drivers.bus import Bus, BusConfig, client
port, site, node, password, client.WILL_DELAY = *sys.argv[1:5], int(sys.argv[5])
bus = Bus(BusConfig("127.0.0.1", int(port), site, node, Path(password)))
bus._outbox.want(())
asyncio.run(bus.run(lambda event: None))
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Broker:
    """mosquitto with exactly the files that a firewall generates; only the paths and the port differ.

    `directory` must be one that user mosquitto can enter, as that is who it runs as. `hosts`: names of docker hosts.
    """

    def __init__(self, directory: Path, hosts: tuple[str, ...] = ()) -> None:
        self.directory = directory
        directory.chmod(0o755)
        self.port = free_port()
        self.config = MosquittoConfig(
            "127.0.0.1",
            self.port,
            etc=str(directory / "etc" / "mosquitto"),
            state=str(directory / "state"),
            strangers=bool(hosts),
        )
        self.acl_text = render_mosquitto_acl(MosquittoAcl(SITE, ("firewall", "kpn", "odido"), hosts=bool(hosts))).text
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "state").mkdir(mode=0o700)
        shutil.chown(directory / "state", "mosquitto")
        (directory / "users").write_text("".join(f"{user}:secret of {user}\n" for user in (*USERS, *hosts)))
        for user in (*USERS, *hosts):
            (directory / f"password.{user}").write_text(f"secret of {user}\n")

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def write(self) -> None:
        etc = self.directory / "etc" / "mosquitto"
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "mosquitto.conf").write_text(render_mosquitto(self.config).text)
        (etc / "acl").write_text(self.acl_text)
        write_passwords(self.directory / "users", etc / "passwd")

    def start(self) -> None:
        self.write()
        with (self.directory / "log").open("ab") as log:
            command = ["mosquitto", "-c", str(self.directory / "etc" / "mosquitto" / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._answers, what=lambda: f"mosquitto: {self.log}")

    def reload(self) -> None:
        self.write()
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            self._process.wait(10)
            self._process = None

    def lose_memory(self) -> None:
        """What is retained is gone, as after a crash without persistence."""
        (self.directory / "state" / "mosquitto.db").unlink(missing_ok=True)

    async def spawn_agent(self, node: str) -> asyncio.subprocess.Process:
        """An agent's bus in a process of its own, so that it can be killed."""
        password = str(self.directory / f"password.{node}")
        command = (sys.executable, "-c", _AGENT, str(self.port), SITE, node, password, str(WILL_DELAY))
        return await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)

    def bus_config(self, node: str, password_of: str | None = None, *, alone: bool = False) -> BusConfig:
        password = self.directory / f"password.{password_of or node}"
        return BusConfig("127.0.0.1", self.port, SITE, node, password, alone=alone)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def mosquitto(*, started: bool = True, hosts: tuple[str, ...] = ()) -> Iterator[Broker]:
    """A broker in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="bus") as directory:
        broker = Broker(Path(directory), hosts)
        try:
            if started:
                broker.start()
            yield broker
        finally:
            broker.stop()
