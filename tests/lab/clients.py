"""The hosts of the networks: DHCPv4 by dhcpcd, IPv6 by the kernel's own autoconfiguration, echo servers on the nas."""

from __future__ import annotations

from tests.lab.internet import serve_echo
from tests.lab.node import Node
from tests.lab.topology import INTERNET4
from tests.lab.wait import wait_for

# 22 and 8080 are served and no rule or forward opens them: a port that nobody serves would prove nothing closed.
NAS_PORTS = ("443/tcp", "22/tcp", "8080/tcp", "27000/udp", "27050/udp", "27051/udp", "53/udp")
_DHCPCD = """nodev
ipv4only
noarp
script /bin/true
"""


def start_client(node: Node) -> None:
    """Start what a host runs, without waiting for an address; see `wait_addresses`."""
    if node.name == "nas":
        node.ip("token set ::5 dev eth0")
        serve_echo(node, *NAS_PORTS)
        return
    node.run(["mkdir", "-p", "/var/lib/dhcpcd"])
    node.path("/run/dhcpcd.conf").write_text(_DHCPCD)
    node.spawn(["dhcpcd", "-B", "-f", "/run/dhcpcd.conf", "eth0"], "dhcpcd")


def wait_addresses(node: Node, timeout: float = 20.0) -> dict[int, str]:
    """Wait until a host has an address and a default route of both families; returns family → address."""

    def addresses() -> dict[int, str] | None:
        found = {family: node.addresses("eth0", family) for family in (4, 6)}
        routes = [node.output(["ip", f"-{family}", "route", "show", "default"]) for family in (4, 6)]
        return {family: some[0] for family, some in found.items()} if all(found.values()) and all(routes) else None

    return wait_for(addresses, timeout, lambda: f"{node.name} to have addresses; {_state(node)}", interval=0.02)


def _state(node: Node) -> str:
    show = "ip -br addr show dev eth0; ip route; ip -6 route; ip route get " + INTERNET4
    return node.run(["sh", "-c", show], check=False).stdout + node.log("dhcpcd")[-2000:]
