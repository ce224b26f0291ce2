"""The lab with DHCP of every kind, and what tests ask it."""

from __future__ import annotations

import json
from ipaddress import IPv6Network
from typing import Any

from tests.lab.dhcp_client import Client
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import CONFIG
from tests.lab.topology import INTERNET6, mac
from tests.lab.wait import wait_for

POOL = IPv6Network("fd4b:9ca2:1d70:ff00::/56")
LEASES = "/var/lib/router/kea"
HOME = IPv6Network("fd4b:9ca2:1d70:10::/64")
SERVE = (
    "import socket\ns = socket.create_server(('::', 443), family=socket.AF_INET6)\nwhile True: s.accept()[0].close()"
)
CHANGES = {
    "    dhcp4: { pool: 10.10.0.100-10.10.0.199, lease: 12h }\n    dhcp6: { mode: stateless } ": """
    dhcp4:
      pool: [10.10.0.100-10.10.0.149, 10.10.0.160-10.10.0.169]
      lease: 12h
      options:
        ntp-servers: [10.10.0.5, 10.10.0.6]
        interface-mtu: 1480
        classless-static-routes: 10.50.0.0/16 via 10.10.0.7
        domain-search: [lan.example, home.arpa]
        224: hex:c0ffee
    publish_leases: true
    dhcp6: { mode: stateful, delegate: 60, lease: 1h } """,
    "guest:      { subnet": "guest: { dhcp6: { mode: stateless, delegate: 62, lease: 8s }, subnet",
    "nas:     { network: home, ipv4: 10.10.0.5,": 'nas: {{ network: home, mac: "{nas}",',
    "forwards:   ": "  - {{ from: internet, to: {pool}, family: ipv6, tcp: 443, action: accept }}\nforwards:   ",
    "  web:  { tcp: 443, to: nas }": "  web:  {{ tcp: 443, to: printer }}",
    "to: nas, uplinks": "to: printer, uplinks",
}


def configuration() -> str:
    """The lab's, with DHCPv6 of every kind."""
    text = CONFIG.read_text()
    for old, new in CHANGES.items():
        assert old in text, old
        text = text.replace(old, new.format(nas=mac("nas", "eth0"), pool=POOL) if "{{" in new else new)
    return text


def status(node: Node) -> Any:
    return json.loads(node.output(["routerctl", "status", "--json"]))


def problems(node: Node) -> str:
    return " ".join(problem["message"] for problem in status(node)["problems"])


def leases(node: Node) -> Any:
    return json.loads(node.output(["routerctl", "leases", "--json"]))["networks"]


def delegated(lab: Lab, laptop: Client) -> str:
    """The prefix that the laptop holds, once the firewall leads there."""
    given = laptop.given("BOUND6", "REBOOT6", "REBIND6")
    prefix = f"{given['dhcp6_ia_pd1_prefix1']}/{given['dhcp6_ia_pd1_prefix1_length']}"
    wait_for(lambda: routed(lab, prefix), 20, "the route to the delegated prefix")
    return prefix


def routed(lab: Lab, prefix: str) -> bool:
    """Whether the firewall leads there, by the laptop's link-local address."""
    shown: str = lab.nodes["firewall"].output(["ip", "-6", "route", "show", prefix])
    argv = ["ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"]
    local = lab.nodes["laptop"].output(argv).split()[3].partition("/")[0]
    return f"via {local} dev home" in shown


def reaches(lab: Lab, source: str) -> bool:
    argv = ["ip", "netns", "exec", "behind", "ping", "-c1", "-W1", "-I", source, INTERNET6]
    return lab.nodes["laptop"].run(argv, check=False).returncode == 0
