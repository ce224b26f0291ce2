"""The internet host: what it sees of the router's clients, and asking it (or any echo server) who one is."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Literal

from tests.lab.capture import Capture
from tests.lab.node import LAB, REPOSITORY, Node
from tests.lab.wait import wait_for

EMULATED_DNS = REPOSITORY / "compose" / "emulator" / "dns"
# Where its names are asked without TLS; 53/udp is an echo server's.
NAMES_PORT = 5353
NAMED = f"""
tls emulated {{ cert-file "/run/names/server.pem"; key-file "/run/names/server.key"; }};
options {{
    directory "/run/names";
    pid-file none;
    session-keyfile none;
    listen-on port 853 tls emulated {{ any; }};
    listen-on-v6 port 853 tls emulated {{ any; }};
    listen-on port {NAMES_PORT} {{ any; }};
    listen-on-v6 port {NAMES_PORT} {{ any; }};
    allow-query {{ any; }};
    recursion no;
    dnssec-validation no;
    querylog yes;
}};
controls {{ }};
zone "." {{ type primary; file "root.zone.signed"; }};
"""
PORTS = ("7/udp", "7/tcp", "80/tcp", "443/tcp", "53/udp")


def serve_echo(node: Node, *ports: str) -> None:
    """Start the echo server of tests/lab/echo.py on a node, and wait until it listens. Ports as in `443/tcp`."""
    node.spawn([sys.executable, "-I", "-S", str(LAB / "echo.py"), *ports], "echo")
    wait_for(lambda: "ready" in node.log("echo"), 5, lambda: f"the echo server of {node.name}: {node.log('echo')}")


def serve_names(node: Node) -> None:
    """Start the resolver of the emulated internet, and wait until it answers: DNS over TLS, and plain on port 5353."""
    node.run(["install", "-d", "/run/names"])
    files = {name: EMULATED_DNS / name for name in ("server.pem", "server.key", "root.zone.signed")}
    for name, path in files.items():
        node.path(f"/run/names/{name}").write_text(path.read_text())
    node.path("/run/names/named.conf").write_text(NAMED)
    node.spawn(["named", "-f", "-n", "1", "-c", "/run/names/named.conf", "-L", "/run/log/names"], "names-start")

    wait_for(lambda: node.log("names").count("all zones loaded"), 10, lambda: f"names: {node.log('names')}")


def ask(
    node: Node,
    protocol: Literal["tcp", "udp"],
    address: str,
    port: int = 7,
    *,
    timeout: float = 2.0,
    source_port: int = 0,
) -> str | None:
    """Ask an echo server from a node. Returns the address it says the question came from, None for no answer.

    An ICMP error or a reset is no answer either. TCP and UDP send some data and require it back unchanged.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    question = b"who am I?"
    with contextlib.suppress(OSError), node.socket(family, kind) as client:
        client.settimeout(timeout)
        if source_port:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(("", source_port))
        client.connect((address, port))
        client.sendall(question)
        wanted = 1 if protocol == "udp" else len(question)
        answer = client.recv(2048)
        while answer and protocol == "tcp" and len(answer.partition(b"\n")[2]) < wanted:
            answer += client.recv(2048)
        first, _, second = answer.partition(b"\n")
        echoed, source = (first, second) if protocol == "udp" else (second, first)
        assert echoed == question, f"{address} echoed {echoed!r}"
        return source.decode()
    return None


class Internet:
    """The host of the internet: echo servers, and a capture of all it receives from `start` on."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.capture = Capture(node, "eth0", lambda packet: not packet.outgoing)

    def start(self) -> None:
        """Start capturing and serving."""
        self.capture.__enter__()
        serve_echo(self.node, *PORTS)
        serve_names(self.node)

    def stop(self) -> None:
        """Stop capturing."""
        self.capture.__exit__(None, None, None)

    def sources(self, protocol: str | None = None, *, since: float = 0.0) -> set[str]:
        """Source addresses seen from `since` on (CLOCK_MONOTONIC); protocol `tcp`, `udp`, `icmp`, `icmp6` or None."""
        return self.capture.sources(protocol, since=since)
