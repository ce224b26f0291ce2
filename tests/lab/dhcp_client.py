"""dhcpcd as a real client of the router's DHCP servers, and as a router downstream with a host behind."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

from tests.lab.node import Node
from tests.lab.wait import wait_for

_HOOK = """#!/bin/sh
mkdir -p /run/given
env | grep '^new_' >/run/given/.$reason
mv /run/given/.$reason /run/given/$reason
"""
_COMMON = """nodev
noarp
duid
script /run/dhcpcd-hook
option routers,classless_static_routes,domain_name_servers,domain_name,domain_search,ntp_servers,interface_mtu
option dhcp6_name_servers,dhcp6_domain_search
"""


class Client:
    """dhcpcd on `eth0` of a node; `lines` are further lines of its configuration."""

    def __init__(self, node: Node, *lines: str) -> None:
        self.node = node
        self._lines = lines
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Start it, with its DUID and leases of before."""
        self.node.run(["mkdir", "-p", "/var/lib/dhcpcd"])
        self.node.run(["rm", "-rf", "/run/given"])
        hook = self.node.path("/run/dhcpcd-hook")
        hook.write_text(_HOOK)
        hook.chmod(0o755)
        self.node.path("/run/dhcpcd.conf").write_text(_COMMON + "".join(f"{line}\n" for line in self._lines))
        self._process = self.node.spawn(["dhcpcd", "-B", "-f", "/run/dhcpcd.conf", "eth0"], "dhcpcd")

    def release(self) -> None:
        """Give all leases back, and end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGALRM)  # dhcpcd(8), SIGNALS
            self._process.wait(10)
            self._process = None

    def stop(self) -> None:
        """End without a word to the server, with the helpers that hold its sockets."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def given(self, *reasons: str, timeout: float = 30.0) -> dict[str, str]:
        """The variables of the hook's first event of these, without `new_`."""

        def found() -> str | None:
            for reason in reasons:
                path = self.node.path(f"/run/given/{reason}")
                if path.exists():
                    return path.read_text()
            return None

        text = wait_for(found, timeout, lambda: f"{self.node.name} {reasons}: {self.node.log('dhcpcd')[-2000:]}")
        lines = (line.removeprefix("new_").partition("=") for line in text.splitlines())
        return {name: value for name, _, value in lines}


def behind(node: Node) -> None:
    """A namespace `behind` with a host on the node's interface `inner`; the node becomes a router."""
    node.sysctl("net.ipv6.conf.all.forwarding", "1")
    node.ip("netns add behind", "link add inner type veth peer name eth0 netns behind", "link set inner up")
    node.run(["ip", "netns", "exec", "behind", "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0"])
    node.run(["ip", "-n", "behind", "link", "set", "eth0", "up"])


def address_behind(node: Node, prefix: str) -> str:
    """Give the host behind its address out of the first /64 of a prefix, by hand; returns it."""
    address = prefix.partition("/")[0] + "77"
    node.run(["ip", "-n", "behind", "addr", "flush", "dev", "eth0", "scope", "global"])
    node.ip(f"addr replace {prefix.partition('/')[0]}1/64 dev inner nodad")
    node.run(["ip", "-n", "behind", "addr", "add", f"{address}/64", "dev", "eth0", "nodad"])
    node.run(["ip", "-n", "behind", "route", "replace", "default", "via", f"{prefix.partition('/')[0]}1"])
    return address
