"""A host on the internet: a web page that tells the visitor's address, echo services that tell it too, names."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from emulator import names
from emulator.system import addresses, ip, listed, setting, supervise

ECHO_PORT = 7
WEB_PORT = 80


def visitor(address: tuple[str, int, int, int]) -> str:
    """A peer's address as people write it."""
    return address[0].removeprefix("::ffff:")


class Page(BaseHTTPRequestHandler):
    """One page for every path."""

    def do_GET(self) -> None:
        """Answer with the address this request came from."""
        body = f"You reached the internet from {visitor(self.client_address)}\n".encode()  # type: ignore[arg-type]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Web(ThreadingHTTPServer):
    """HTTP over both families."""

    address_family = socket.AF_INET6


class TcpEcho(socketserver.StreamRequestHandler):
    """First line: the visitor's address and port; then every line comes back."""

    def handle(self) -> None:
        """Serve one connection to its end."""
        self.wfile.write(f"{visitor(self.client_address)} {self.client_address[1]}\n".encode())
        for line in self.rfile:
            self.wfile.write(line)


class UdpEcho(socketserver.DatagramRequestHandler):
    """One datagram back: the visitor's address and port, a space, what was sent."""

    def handle(self) -> None:
        """Answer one datagram."""
        self.wfile.write(f"{visitor(self.client_address)} {self.client_address[1]} ".encode() + self.rfile.read())


class TcpServer(socketserver.ThreadingTCPServer):
    """TCP over both families."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True


class UdpServer(socketserver.ThreadingUDPServer):
    """UDP over both families."""

    address_family = socket.AF_INET6
    daemon_threads = True


def serve() -> int:
    """Web page and echo services on every address."""
    servers: list[socketserver.BaseServer] = [
        *(Web(("::", int(port)), Page) for port in listed("WEB_PORTS") or [str(WEB_PORT)]),
        TcpServer(("::", ECHO_PORT), TcpEcho),
        UdpServer(("::", ECHO_PORT), UdpEcho),
    ]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def main() -> int:
    """Addresses, routes back to the ISPs' customers, services."""
    addresses("core", listed("CORE"))
    for entry in listed("OWNS"):
        ip("addr", "replace", entry, "dev", "lo", *(["nodad"] if ":" in entry else []))
    for entry in listed("ROUTES"):
        ip("route", "replace", *entry.split())
    if peer := setting("TUNNEL_PEER", ""):
        _tunnel(peer, listed("TUNNEL"))
    return supervise([["python3", "-m", "emulator", "echo"], names.command()])


def _tunnel(peer: str, allowed: Sequence[str]) -> None:
    """The far end of a WireGuard tunnel: its clients' addresses are `allowed`, its key is a file."""
    ip("link", "add", "tunnel", "type", "wireguard")
    key = ("private-key", setting("TUNNEL_KEY_FILE"), "listen-port", setting("TUNNEL_PORT", "51820"))
    subprocess.run(("wg", "set", "tunnel", *key, "peer", peer, "allowed-ips", ",".join(allowed)), check=True)
    ip("link", "set", "tunnel", "up", "mtu", "1420")
    for prefix in allowed:
        ip("route", "replace", prefix, "dev", "tunnel")
