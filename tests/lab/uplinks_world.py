"""A small lab with two uplinks by hand, whose configuration each test may change: choice, cut-over and failback."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import Counter
from ipaddress import IPv6Network
from types import TracebackType
from typing import Any, Self

from tests.lab.internet import ask
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import CONFIG
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.wait import wait_for

NODES = ("kpn", "kpn-isp", "odido", "odido-isp", "internet", "firewall", "laptop", "phone")
PREFIX = IPv6Network("2001:db8:a100::/48")
ADDRESSES = {4: INTERNET4, 6: INTERNET6}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# What the internet host sees of each uplink, by family.
SEEN = {"kpn": {4: "192.0.2.", 6: "2001:db8:a1"}, "odido": {4: "198.51.100.", 6: "2001:db8:b:"}}
_LINES = {
    "kpn": ("192.0.2.2/24", "2001:db8:a::2/64", "192.0.2.1", "2001:db8:a::1"),
    "odido": ("198.51.100.2/24", "2001:db8:b::2/64", "198.51.100.1", "2001:db8:b::1"),
}
_HOLD = "hold_down: 0s"


def config(*changes: tuple[str, str]) -> str:
    """The lab's configuration without a hold-down, and with other texts in it."""
    text = CONFIG.read_text().replace("  domain: home.arpa", f"  domain: home.arpa\n  {_HOLD}")
    for old, new in changes:
        assert old in text, f"nothing to change: {old}"
        text = text.replace(old, new)
    return text


class UplinksWorld(Lab):
    """kpn delegates a prefix, odido has one address (NAT66): `home` prefers kpn, `guest` odido."""

    def __init__(self, text: str = "") -> None:
        self._loaded = text or config()
        super().__init__(nodes=NODES, config=self._loaded)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.start_router()
            for name, (own4, own6, gateway4, gateway6) in _LINES.items():
                self.nodes[name].ip(
                    f"addr add {own4} dev wan",
                    f"addr add {own6} dev wan nodad",
                    f"route add default via {gateway4} dev wan",
                    f"route add default via {gateway6} dev wan",
                )
            self.nodes["kpn"].ip(f"route add unreachable {PREFIX} proto dhcp")
            self.nodes["kpn-isp"].ip(f"route add {PREFIX} via 2001:db8:a::2")
            _ = self.internet
            self.start_clients("laptop", "phone")
            for name in ("laptop", "phone"):
                self.addresses(name)
        except BaseException:
            self.keep_logs()
            self.close()
            raise
        return self

    def load(self, text: str) -> None:
        """Run with this configuration; nothing is done where it runs already."""
        if text != self._loaded:
            self.nodes["firewall"].path("/etc/router/router.yaml").write_text(text)
            self.ctl("reload")
            self._loaded = text

    def ctl(self, *words: str) -> str:
        """What `routerctl` says in the firewall."""
        return self.nodes["firewall"].output(["routerctl", *words])

    def uplinks(self) -> dict[str, Any]:
        """The document of `routerctl uplinks`."""
        return dict(json.loads(self.ctl("uplinks", "--json")))

    def uses(self, network: str, uplink: str | None, *families: int, timeout: float = 20.0) -> None:
        """Until a network has chosen this uplink, for both families or those named."""
        wanted = families or (4, 6)

        def chosen() -> bool:
            found = self.uplinks()["networks"][network]
            return all(found[f"ipv{family}"]["uplink"] == uplink for family in wanted)

        wait_for(chosen, timeout, lambda: f"{network} to use {uplink}: {self.ctl('uplinks')}", interval=0.05)

    def down(self, name: str) -> None:
        """An uplink loses its carrier."""
        self.nodes[f"{name}-isp"].ip("link set port down")

    def up(self, name: str) -> None:
        """And has it again."""
        self.nodes[f"{name}-isp"].ip("link set port up")

    def settled(self) -> None:
        """Until all is as at the start: home by kpn, guest by odido."""
        self.load(config())
        for name in ("kpn", "odido"):
            self.up(name)
            self.ctl("uplink", name, "enable")
        self.uses("home", "kpn")
        self.uses("guest", "odido")
        for node, uplink in (("laptop", "kpn"), ("phone", "odido")):
            for family in (4, 6):
                self.goes_by(node, family, uplink)

    def goes_by(self, node: str, family: int, uplink: str, timeout: float = 20.0) -> None:
        """Until new connections of a host are seen with a source of this uplink."""
        wanted = SEEN[uplink][family]
        wait_for(lambda: self.seen(node, family).startswith(wanted), timeout, f"{node} to go out as {wanted}…")

    def seen(self, node: str, family: int, port: int = 7) -> str:
        """The source that the internet host sees of a new TCP connection, empty for none."""
        return ask(self.nodes[node], "tcp", ADDRESSES[family], port, timeout=1.0) or ""

    def sources(self, node: str, family: int, count: int) -> Counter[str]:
        """Uplink → how many of so many new connections of a host took it."""
        found: Counter[str] = Counter()
        for _ in range(count):
            source = ask(self.nodes[node], "udp", ADDRESSES[family], timeout=5.0) or "none"
            found[next((name for name, seen in SEEN.items() if source.startswith(seen[family])), source)] += 1
        return found


class Talk:
    """A TCP connection from a host inside to a server of its own on the internet host; `download`: the server sends.

    `ended`: what the host's `recv` raised or returned at last.
    """

    def __init__(self, host: Node, internet: Node, family: int, *, download: bool = False) -> None:
        self._server = internet.socket(FAMILIES[family], socket.SOCK_STREAM)
        self._server.bind(("", 0))
        self._server.listen(1)
        self.client = host.socket(FAMILIES[family], socket.SOCK_STREAM)
        self.client.settimeout(30.0)
        self.client.connect((ADDRESSES[family], self._server.getsockname()[1]))
        self.far, _ = self._server.accept()
        self.source: str = self.far.getpeername()[0]
        self.ended: BaseException | None = None
        self.received = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read, daemon=True)]
        if download:
            self._threads.append(threading.Thread(target=self._send, daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for each in (self.client, self.far):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in (self.client, self.far, self._server):
            each.close()

    def _read(self) -> None:
        try:
            while data := self.client.recv(65536):
                self.received += len(data)
        except OSError as error:
            self.ended = error

    def _send(self) -> None:
        self.far.settimeout(0.2)
        while not self._stop.is_set():
            try:
                self.far.send(bytes(1400))
            except TimeoutError:
                continue
            except OSError:
                return
            self._stop.wait(0.005)

    def works(self, timeout: float = 10.0) -> None:
        """Until something that the server sends now has arrived."""
        before = self.received
        self.far.settimeout(timeout)
        self.far.sendall(b"still there?")
        wait_for(lambda: self.received > before, timeout, f"the connection from {self.source} to work: {self.ended}")

    def wait_reset(self, timeout: float = 15.0) -> None:
        """Until the host was told that its connection ended."""
        wait_for(lambda: self.ended, timeout, f"the connection from {self.source} to be reset")
        assert isinstance(self.ended, ConnectionResetError), self.ended
