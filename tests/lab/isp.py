"""The ISPs: Kea for DHCPv4 and DHCPv6, radvd, and the routes an ISP's edge would hold."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from tests.lab.node import Node
from tests.lab.topology import INTERNET4, INTERNET6, KPN_PREFIX, LINES, mac
from tests.lab.wait import wait_for


@dataclass(frozen=True)
class Offer:
    """What an ISP offers on its line: pools, and the prefix it delegates at first (None: it delegates none)."""

    subnet4: str
    router4: str
    pool4: str
    subnet6: str
    pool6: str
    prefix: str | None


OFFERS = {
    "kpn": Offer(
        subnet4="192.0.2.0/24",
        router4="192.0.2.1",
        pool4="192.0.2.100-192.0.2.199",
        subnet6="2001:db8:a::/64",
        pool6="2001:db8:a::1000-2001:db8:a::1fff",
        prefix=KPN_PREFIX,
    ),
    "odido": Offer(
        subnet4="198.51.100.0/24",
        router4="198.51.100.1",
        pool4="198.51.100.100-198.51.100.199",
        subnet6="2001:db8:b::/64",
        pool6="2001:db8:b::1000-2001:db8:b::1fff",
        prefix=None,
    ),
}

# The address comes by DHCPv6 alone (M flag, no autonomous prefix), as on most fixed lines.
_RADVD = """interface line {{
    AdvSendAdvert on;
    AdvManagedFlag on;
    AdvOtherConfigFlag on;
    MinRtrAdvInterval 10;
    MaxRtrAdvInterval 30;
    prefix {subnet6} {{ AdvAutonomous off; }};
}};
"""


def link_local(address: str) -> IPv6Address:
    """The link-local address that the kernel makes of a MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(address.replace(":", ""))
    interface = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + interface)


class Isp:
    """One ISP. What changes at run time reaches the client at its next renewal, every `renew` seconds.

    Kea 2.2 and dhcpcd 9.4.1, seen in the lab: Kea forgets its leases at a reload (they are kept in memory only); the
    Renew for a prefix that no pool has any more is answered with that prefix at lifetime 0 and, if there is one, a new
    prefix; dhcpcd replaces its unreachable route within milliseconds of that answer. There is no way to tell a DHCPv6
    client earlier without authentication (RFC 8415 section 20), hence the short T1.
    """

    def __init__(self, ingress: str, node: Node, renew: float = 2) -> None:
        self.name = ingress
        self.node = node
        self.offer = OFFERS[ingress]
        self.prefix = self.offer.prefix
        self._pool4, self._ipv6 = self.offer.pool4, True
        self._renew = renew
        self._client = link_local(mac(ingress, "wan"))
        self._kea: dict[int, subprocess.Popen[Any]] = {}
        self._radvd: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Start Kea and radvd, without waiting for them; see `wait_ready`."""
        self.node.run(["install", "-d", "-m", "0750", "/run/kea", "/run/lock/kea", "/var/lib/kea"])
        for family in (4, 6):
            self._write(family)
            self._kea[family] = self.node.spawn(
                [f"kea-dhcp{family}", "-c", f"/run/kea/dhcp{family}.json"], f"kea{family}"
            )
        self._route()
        self._advertise()

    def wait_ready(self) -> None:
        """Wait until both servers listen."""
        for family in (4, 6):
            wait_for(partial(self._listens, family), 15, partial(self._complaint, family))

    def _listens(self, family: int) -> bool:
        return f"DHCP{family}_STARTED" in self.node.log(f"kea{family}")

    def _complaint(self, family: int) -> str:
        return f"kea-dhcp{family} of {self.name}'s ISP; its log:\n{self.node.log(f'kea{family}')[-3000:]}"

    def delegate(self, prefix: str) -> None:
        """Withdraw what is delegated, if anything, and delegate `prefix` instead; any length up to 64."""
        self.prefix, old = str(IPv6Network(prefix)), self.prefix
        self._reload(6)
        self._route(old)

    def withdraw(self) -> None:
        """Delegate nothing any more."""
        self.prefix, old = None, self.prefix
        self._reload(6)
        self._route(old)

    def ipv6_off(self) -> None:
        """End IPv6 on the line: a last advertisement with router lifetime 0, no leases any more.

        The default route goes at once. An address that the client has stays until it expires (20 minutes): dhcpcd
        drops one at lifetime 0, but Kea then answers NoAddrsAvail.
        """
        self._ipv6 = False
        self._reload(6)
        if self._radvd:
            self._radvd.terminate()
            self._radvd.wait(5)
            self._radvd = None

    def ipv6_on(self) -> None:
        """Bring IPv6 on the line back."""
        self._ipv6 = True
        self._reload(6)
        self._advertise()

    def lease4_from(self, pool: str) -> None:
        """Give IPv4 addresses of another pool, FIRST-LAST in the same subnet; a request for the old one is refused."""
        self._pool4 = pool
        self._reload(4)

    def link_down(self) -> None:
        """Take the carrier from the ingress's uplink."""
        self.node.ip("link set port down")

    def link_up(self) -> None:
        """Give the carrier back."""
        self.node.ip("link set port up")

    def _advertise(self) -> None:
        self.node.path("/run/radvd.conf").write_text(_RADVD.format(subnet6=self.offer.subnet6))
        argv = [
            "radvd",
            "--nodaemon",
            "--logmethod",
            "stderr",
            "--config",
            "/run/radvd.conf",
            "--pidfile",
            "/run/radvd.pid",
        ]
        self._radvd = self.node.spawn(argv, "radvd")

    def _route(self, old: str | None = None) -> None:
        """The route to the delegated prefix, as an ISP's edge adds it with the lease; the rest is unreachable."""
        commands = [f"route del {old} dev line"] if old and old != self.prefix else []
        if self.prefix:
            commands.append(f"route replace {self.prefix} via {self._client} dev line")
        if commands:
            self.node.ip(*commands)

    def _write(self, family: int) -> None:
        config = self._dhcp4() if family == 4 else self._dhcp6()
        config["interfaces-config"] = {
            "interfaces": ["line"],
            "service-sockets-max-retries": 20,
            "service-sockets-retry-wait-time": 100,
        }
        config["lease-database"] = {"type": "memfile", "persist": False}
        self.node.path(f"/run/kea/dhcp{family}.json").write_text(json.dumps({f"Dhcp{family}": config}, indent=1))

    def _reload(self, family: int) -> None:
        self._write(family)
        if family in self._kea:
            self._kea[family].send_signal(signal.SIGHUP)

    def _dhcp4(self) -> dict[str, Any]:
        options = [
            {"name": "routers", "data": self.offer.router4},
            {"name": "domain-name-servers", "data": INTERNET4},
        ]
        subnet = {"id": 1, "subnet": self.offer.subnet4, "pools": [{"pool": self._pool4}], "option-data": options}
        times = {"renew-timer": 300, "rebind-timer": 500, "valid-lifetime": 600}
        return {**times, "authoritative": True, "subnet4": [subnet]}

    def _dhcp6(self) -> dict[str, Any]:
        subnet: dict[str, Any] = {"id": 1, "subnet": self.offer.subnet6, "interface": "line"}
        subnet["option-data"] = [{"name": "dns-servers", "data": INTERNET6}]
        if self._ipv6:
            subnet["pools"] = [{"pool": self.offer.pool6}]
        if self._ipv6 and self.prefix:
            prefix = IPv6Network(self.prefix)
            length = prefix.prefixlen
            pool = {"prefix": str(prefix.network_address), "prefix-len": length, "delegated-len": length}
            subnet["pd-pools"] = [pool]
        times = {"renew-timer": self._renew, "rebind-timer": self._renew * 2}
        return {**times, "preferred-lifetime": 600, "valid-lifetime": 1200, "subnet6": [subnet]}


def isps(nodes: dict[str, Node], renew: float) -> dict[str, Isp]:
    """The ISPs of those nodes that exist, by the name of their ingress."""
    return {ingress: Isp(ingress, nodes[isp], renew) for ingress, isp in LINES if isp in nodes}
