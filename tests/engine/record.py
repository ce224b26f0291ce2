"""Records what a Docker engine says while containers come and go: `python -m tests.engine.record`.

The file is what tests/lab/recorded_engine.py replays where no engine is. Of each step: the stream of events as it came,
byte for byte, and the answers once it was quiet, as they came.
"""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from agent.drivers.docker.watcher import EVENTS
from tests.engine import base
from tests.engine.engine import Engine
from tests.engine.machine import engine_in
from tests.lab.netns import netns
from tests.lab.recorded_engine import RECORDED

DAEMON = {"ipv6": True, "fixed-cidr-v6": "2001:db8:77:1:21:ffff::/96", "ip6tables": False}
SLEEP = (base.IMAGE, "sleep", "1000")
_ROUTED = "com.docker.network.bridge.gateway_mode_ipv6=routed"
_NETWORK = ("network", "create", "--ipv6", "--subnet", "2001:db8:77:1:21::/112", "--opt", _ROUTED, "apps")
_WEB = ("run", "-d", "--network", "apps", "--ip6", "2001:db8:77:1:21::80", "-p", "443", "-p", "443/udp")
_DB = ("run", "-d", "--name", "db", "--network", "apps", "--ip6", "2001:db8:77:1:21::5", "-p", "80")
STEPS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ("nothing", (_NETWORK,)),
    ("web", ((*_WEB, "--name", "web", "--label", "router.expose=443/tcp, 443/udp", *SLEEP),)),
    # Nonsense, beyond what vm1 may expose, and not published; and what it may.
    ("db", ((*_DB, "--label", "router.expose=postgres 5432/tcp 80", *SLEEP),)),
    (
        "more",
        (
            ("run", "-d", "--name", "plain", *SLEEP),
            ("run", "-d", "--name", "host_s.own", "--network", "host", "--label", "router.expose=22", *SLEEP),
        ),
    ),
    ("web killed", (("kill", "web"),)),
    ("web started", (("start", "web"),)),
    ("web away", (("network", "disconnect", "apps", "web"),)),
    ("all gone", (("rm", "-f", "web", "db", "plain", "host_s.own"),)),
)


def _get(path: Path, what: str) -> Any:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(f"GET {what} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def record(engine: Engine, path: Path) -> dict[str, Any]:
    """All steps."""
    heard = bytearray()
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(str(path))
    stream.sendall(f"GET {EVENTS} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(65536)

    def listen() -> None:
        while data := stream.recv(65536):
            heard.extend(data)

    threading.Thread(target=listen, daemon=True).start()
    steps = []
    for name, commands in STEPS:
        heard.clear()
        for command in commands:
            engine.docker(*command)
        time.sleep(1)  # nothing says that an engine has said all
        containers = _get(path, "/containers/json")
        details = {c["Id"]: _get(path, f"/containers/{c['Id']}/json") for c in containers}
        answers = {"/networks": _get(path, "/networks"), "/containers/json": containers}
        answers |= {f"/containers/{key}/json": detail for key, detail in details.items()}
        steps.append({"name": name, "events": heard.decode(), "answers": answers})
    version = _get(path, "/version")["Version"]
    return {"version": version, "head": head.decode(), "steps": steps}


def main() -> None:
    """Record in an engine of its own."""
    directory = Path(tempfile.mkdtemp(prefix="record-"))
    try:
        with netns("rec") as space, engine_in(space, directory, json.dumps(DAEMON)) as engine:
            found = record(engine, directory / "docker.sock")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    RECORDED.parent.mkdir(exist_ok=True)
    text = json.dumps(found, indent=1, sort_keys=True).replace(str(directory), "/var/lib/docker")
    RECORDED.write_text(text + "\n")


if __name__ == "__main__":
    main()
