"""Global addressing in the lab: two uplinks that both delegate a prefix, by hand.

`home` has internal addresses and global ones, `guest` global ones only: it prefers odido, `home` prefers kpn. So does
`iot`, which has global ones by DHCPv6 too.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from types import TracebackType
from typing import Any, Self

from tests.lab.capture import Packet
from tests.lab.internet import ask, serve_echo
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import CONFIG
from tests.lab.topology import INTERNET6
from tests.lab.wait import wait_for

NODES = ("kpn", "kpn-isp", "odido", "odido-isp", "internet", "firewall", "laptop", "nas", "phone", "lamp")
ODIDO_SMALL = IPv6Network("2001:db8:b100:ee00::/64")
KPN, KPN_NEXT = IPv6Network("2001:db8:a100::/48"), IPv6Network("2001:db8:a200::/48")
ODIDO = IPv6Network("2001:db8:b100:ff00::/56")
SITE = IPv6Network("fd4b:9ca2:1d70::/48")
# kpn maps the whole plan: the number of home's internal /64 is taken there, those of guest and iot are free.
HOME = {"kpn": IPv6Network("2001:db8:a100:11::/64"), "odido": IPv6Network("2001:db8:b100:ff11::/64")}
IOT = {"kpn": IPv6Network("2001:db8:a100:30::/64"), "odido": IPv6Network("2001:db8:b100:ff30::/64")}
GUEST = {"kpn": IPv6Network("2001:db8:a100:20::/64"), "odido": IPv6Network("2001:db8:b100:ff20::/64")}
_RULES = """  - { from: home, to: internet, tcp: 80, only: odido, action: accept }
  - { from: internet, to: laptop, udp: 7, action: accept }
"""
ADVERTISEMENT = 134
FOR_EVER = 0xFFFFFFFF
_LINES = {
    "kpn": ("192.0.2.2/24", "2001:db8:a::2/64", "192.0.2.1", "2001:db8:a::1", KPN),
    "odido": ("198.51.100.2/24", "2001:db8:b::2/64", "198.51.100.1", "2001:db8:b::1", ODIDO),
}


def config(home: str = "both") -> str:
    """The lab's configuration, with global addresses."""
    text = CONFIG.read_text()
    for old, new in (
        ("  domain: home.arpa", "  domain: home.arpa\n  hold_down: 0s"),
        ("    addressing: internal ", f"    addressing: {home} "),
        ("  guest:      { subnet: 0x20,", "  guest:      { subnet: 0x20, addressing: global,"),
        ("  iot:        { subnet", "  iot: { addressing: global, dhcp6: { mode: stateful, lease: 1h }, subnet"),
        ("delegation: none, nat66: auto", "delegation: 56, nat66: auto"),
        ("rules:\n", f"rules:\n{_RULES}"),
        ("hosts: ", 'hosts:\n  laptop: { network: home, suffix: "::77" } #'),
    ):
        assert old in text, f"nothing to change: {old}"
        text = text.replace(old, new, 1)
    return text


@dataclass(frozen=True)
class PrefixOption:
    """A prefix information option (RFC 4861 section 4.6.2)."""

    prefix: IPv6Network
    flags: int
    valid: int
    preferred: int


@dataclass(frozen=True)
class Advertisement:
    """A router advertisement: router lifetime, flags (M 128, O 64), options."""

    lifetime: int
    flags: int
    prefixes: dict[IPv6Network, PrefixOption]
    routes: dict[IPv6Network, int]
    mtu: int
    dns: int
    search: int


def advertisement(packet: Packet) -> Advertisement:
    """Read an advertisement from its frame (RFC 4861 section 4.2, RFC 4191, RFC 8106)."""
    body = packet.data[54:]
    prefixes, routes, mtu, dns, search = {}, {}, 0, 0, 0
    place = 16
    while place + 8 <= len(body):
        kind, length = body[place], body[place + 1] * 8
        option = body[place : place + length]
        if kind == 3:
            prefix = IPv6Network((option[16:32], option[2]))
            prefixes[prefix] = PrefixOption(
                prefix, option[3], int.from_bytes(option[4:8]), int.from_bytes(option[8:12])
            )
        elif kind == 24:
            routes[IPv6Network((option[8:].ljust(16, b"\0"), option[2]))] = int.from_bytes(option[4:8])
        elif kind == 5:
            mtu = int.from_bytes(option[4:8])
        elif kind == 25:
            dns = int.from_bytes(option[4:8])
        elif kind == 31:
            search = int.from_bytes(option[4:8])
        place += max(length, 8)
    return Advertisement(int.from_bytes(body[6:8]), body[5], prefixes, routes, mtu, dns, search)


def advertised(packet: Packet) -> bool:
    """Whether a packet is an advertisement."""
    return packet.protocol == "icmp6" and packet.kind == ADVERTISEMENT


class GlobalWorld(Lab):
    """The lab with that configuration, running."""

    def __init__(self) -> None:
        super().__init__(nodes=NODES, config=config())
        self._loaded = config()
        self._down: set[str] = set()

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.nodes["laptop"].ip("token set ::77 dev eth0")
            self.start_router()
            for name in ("kpn", "odido", "firewall"):
                self.nodes[name].sysctl("net.ipv6.icmp.ratelimit", "0")  # errors are what some tests look for
            self.nodes["internet"].ip("route add 2001:db8:b100::/40 via 2001:db8:f::2")
            for name, (own4, own6, gateway4, gateway6, prefix) in _LINES.items():
                ingress, isp = self.nodes[name], self.nodes[f"{name}-isp"]
                ingress.ip(
                    f"addr add {own4} dev wan",
                    f"addr add {own6} dev wan nodad",
                    f"route add default via {gateway4} dev wan",
                    f"route add default via {gateway6} dev wan",
                    f"route add unreachable {prefix} proto dhcp",
                )
                isp.ip(f"route add {prefix} via {own6.partition('/')[0]}")
                self.lease(name, prefix)
            _ = self.internet
            self.start_clients("laptop", "phone", "nas")
            serve_echo(self.nodes["laptop"], "7/udp", "9/udp")
        except BaseException:
            self.keep_logs()
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)

    def load(self, text: str) -> None:
        """Run all nodes with this configuration; nothing is done where it runs already."""
        if text != self._loaded:
            for name in ("kpn", "odido", "firewall"):
                self.nodes[name].path("/etc/router/router.yaml").write_text(text)
                self.nodes[name].output(["routerctl", "reload"])
            self._loaded = text

    def delegate(self, uplink: str, old: IPv6Network, new: IPv6Network) -> None:
        """The ISP of an uplink delegates another prefix."""
        own6 = _LINES[uplink][1].partition("/")[0]
        isp = self.nodes[f"{uplink}-isp"]
        isp.ip(f"route add {new} via {own6}")
        self.lease(uplink, new)
        self.nodes[uplink].ip(f"route add unreachable {new} proto dhcp", f"route del unreachable {old} proto dhcp")
        isp.ip(f"route del {old} via {own6}")

    def down(self, uplink: str) -> None:
        """The uplink loses its carrier."""
        self._down.add(uplink)
        self.nodes[f"{uplink}-isp"].ip("link set port down")

    def up(self, uplink: str) -> None:
        """And has it again; its client, which had dropped its lease, asks for the same."""
        node = self.nodes[uplink]
        self._down.discard(uplink)
        node.run(["rm", "-f", "/run/router/leases/wan.6"])
        self.nodes[f"{uplink}-isp"].ip("link set port up")
        wait_for(lambda: "LOWER_UP" in node.output(["ip", "link", "show", "dev", "wan"]), 10, "its carrier")
        self.lease(uplink, _LINES[uplink][4])

    def lease(self, uplink: str, prefix: IPv6Network, preferred: int = FOR_EVER, valid: int = FOR_EVER) -> float:
        """What the DHCPv6 client would note of a delegation now; returns the moment (CLOCK_BOOTTIME)."""
        node = self.nodes[uplink]
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        lines = {
            "uptime": now,
            "new_dhcp6_ia_pd1_prefix1": prefix.network_address,
            "new_dhcp6_ia_pd1_prefix1_length": prefix.prefixlen,
            "new_dhcp6_ia_pd1_prefix1_pltime": preferred,
            "new_dhcp6_ia_pd1_prefix1_vltime": valid,
        }
        node.run(["mkdir", "-p", "/run/router/leases"])
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        node.path("/run/router/leases/wan.6").write_text(text)
        node.run(["routerctl", "poke"])
        return now

    def has(self, name: str, prefix: IPv6Network, *, preferred: bool, timeout: float = 20.0) -> IPv6Address:
        """Until a host has an address of a prefix, preferred or deprecated; returns it."""

        def there() -> IPv6Address | None:
            for address, info in held(self.nodes[name]).items():
                if address in prefix and preferred == (info.get("preferred_life_time", 0) > 0):
                    return address
            return None

        what = f"{name} to have {'a preferred' if preferred else 'a deprecated'} address of {prefix}"
        return wait_for(there, timeout, lambda: f"{what}: {held(self.nodes[name])}", interval=0.05)

    def settled(self) -> None:
        """Until all is as at the start."""
        self.load(config())
        for uplink in tuple(self._down):
            self.up(uplink)
        for host, prefixes, uplink in (("laptop", HOME, "kpn"), ("phone", GUEST, "odido")):
            for name, prefix in prefixes.items():
                self.has(host, prefix, preferred=name == uplink, timeout=30)
            self.sees(host, prefixes[uplink])

    def sees(self, name: str, prefix: IPv6Network, timeout: float = 30.0) -> str:
        """Until the internet host sees new connections of a host with a source of this prefix; returns it."""

        def seen() -> str | None:
            answer = ask(self.nodes[name], "tcp", INTERNET6, timeout=1.0)
            return answer if answer and IPv6Address(answer) in prefix else None

        return wait_for(seen, timeout, f"{name} to be seen with a source of {prefix}", interval=0.05)


def held(node: Node) -> dict[IPv6Address, dict[str, Any]]:
    """The global addresses of a host, with their lifetimes in seconds."""
    links = json.loads(node.output(["ip", "-6", "-j", "addr", "show", "dev", "eth0", "scope", "global"]))
    return {IPv6Address(info["local"]): info for link in links for info in link.get("addr_info", []) if info}


def ask_from(node: Node, source: IPv6Address, address: str, port: int = 7, protocol: str = "udp") -> str:
    """Ask an echo server with a source of one's choice: the source it saw, or the name of the error."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with contextlib.closing(node.socket(socket.AF_INET6, kind)) as client:
        client.settimeout(2.0)
        try:
            client.bind((str(source), 0))
            client.connect((address, port))
            client.send(b"who am I?")
            lines = client.recv(2048).decode().splitlines()
            return lines[-1] if protocol == "udp" else lines[0]
        except OSError as error:
            return type(error).__name__
