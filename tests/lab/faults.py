"""Faults of uplinks and ingresses that no netlink event tells of; each is mended when its context ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from tests.lab.lab import Lab
from tests.lab.node import Node

_FAMILIES = {4: "ipv4", 6: "ipv6"}


@contextlib.contextmanager
def blackhole(isp: Node, *families: int) -> Iterator[None]:
    """The ISP forwards nothing any more, without a word; its own addresses answer. Default: both families."""
    drops = "".join(f"meta nfproto {_FAMILIES[family]} drop; " for family in families or (4, 6))
    chain = f"chain hole {{ type filter hook forward priority -300; policy accept; {drops}}}"
    isp.run(["nft", "-f", "-"], stdin=f"table inet hole {{ {chain}\n}}\n")
    try:
        yield
    finally:
        isp.run(["nft", "delete", "table", "inet", "hole"])


@contextlib.contextmanager
def mute(isp: Node) -> Iterator[None]:
    """The ISP's router answers no ARP request and no neighbour solicitation on the line; the carrier stays."""
    chain = "chain mute { type filter hook input priority -300; policy accept; icmpv6 type nd-neighbor-solicit drop; }"
    isp.sysctl("net.ipv4.conf.line.arp_ignore", "8")
    isp.run(["nft", "-f", "-"], stdin=f"table inet mute {{ {chain}\n}}\n")
    try:
        yield
    finally:
        isp.run(["nft", "delete", "table", "inet", "mute"])
        isp.sysctl("net.ipv4.conf.line.arp_ignore", "0")


@contextlib.contextmanager
def vanished(lab: Lab, name: str) -> Iterator[None]:
    """A container is gone: its wires to the DMZ and to the backstage lead nowhere, and it can tell nobody."""
    number = list(lab.nodes).index(name)
    ports = [f"{bridge}{number}" for bridge in ("dmz", "backstage")]
    lab.nodes["switch"].ip(*(f"link set {port} nomaster" for port in ports))
    try:
        yield
    finally:
        lab.nodes["switch"].ip(
            *(f"link set {port} master {bridge}" for port, bridge in zip(ports, ("dmz", "backstage"), strict=True))
        )


@contextlib.contextmanager
def frozen_broker(lab: Lab) -> Iterator[None]:
    """The broker does nothing any more; its connections stand."""
    services = lab.services["firewall"]
    services.kill("mosquitto", signal.SIGSTOP)
    try:
        yield
    finally:
        services.kill("mosquitto", signal.SIGCONT)
