"""The lab with uplinks made by hand: benchmarks decide themselves when a prefix comes and goes."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Network
from pathlib import Path
from typing import Self

from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.wait import wait_for

# ingress → (its end of the line, the ISP's end)
LINES = {
    "kpn": (("192.0.2.2/24", "2001:db8:a::2/64"), ("192.0.2.1", "2001:db8:a::1")),
    "odido": (("198.51.100.2/24", "2001:db8:b::2/64"), ("198.51.100.1", "2001:db8:b::1")),
}
PREFIXES = (IPv6Network("2001:db8:a100::/48"), IPv6Network("2001:db8:a200::/48"))


class World(Lab):
    """A lab whose ingresses have addresses on their uplinks by hand; no ISP's daemon runs."""

    def __init__(self, nodes: Iterable[str]) -> None:
        super().__init__(nodes=nodes)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.start_router()
            for name, (own, gateways) in LINES.items():
                if name in self.nodes:
                    commands = [f"addr add {address} dev wan{' nodad' if ':' in address else ''}" for address in own]
                    self.nodes[name].ip(
                        *commands, *(f"route add default via {gateway} dev wan" for gateway in gateways)
                    )
        except BaseException:
            self.close()
            raise
        return self

    def delegate(self, prefix: IPv6Network) -> None:
        """What dhcpcd does the moment a prefix is delegated."""
        self.nodes["kpn"].ip(f"route replace unreachable {prefix} proto dhcp")

    def withdraw(self, prefix: IPv6Network) -> None:
        """What dhcpcd does when it is withdrawn."""
        self.nodes["kpn"].ip(f"route del unreachable {prefix} proto dhcp")

    def route_back(self) -> None:
        """The ISP sends all that it may delegate to kpn."""
        self.nodes["kpn-isp"].ip(*(f"route replace {prefix} via 2001:db8:a::2" for prefix in PREFIXES))

    def agent(self, name: str) -> Path:
        """/proc/<pid> of a node's agent as the host sees it."""
        pid = wait_for(lambda: _agent(self.nodes[name]), 5.0, f"the agent of {name}")
        return Path(f"/proc/{pid}")


def _agent(node: Node) -> int | None:
    """The host's pid of the agent: of all router-agents, the one in the node's network namespace."""
    namespace = Path(f"/proc/{node.pid}/ns/net").stat().st_ino
    for path in Path("/proc").iterdir():
        try:
            if b"router-agent" in (path / "cmdline").read_bytes() and (path / "ns/net").stat().st_ino == namespace:
                return int(path.name)
        except (OSError, ValueError):
            continue
    return None
