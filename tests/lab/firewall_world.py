"""A firewall between two ingresses and its networks, in namespaces, with nothing of the agent but its plan.

    net (203.0.113.7, 2001:db8:f::7) ── kpn ──┐            ┌─ home: host .100, nas .5
                                     └─ odido ─┴─ dmz ─ fw ─┼─ iot: cam .50
                                                            └─ backstage: node

The ingresses are fixed rules: IPv4 NAT with a forward of port 443, 1:1 translation of the plan to a /48 each.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent.config.loader import load
from agent.config.settings import Settings
from agent.desired import Plan
from agent.desired.firewall import FirewallTable
from agent.model import Link, ListContent, Peer, PolicyRule, Route, State
from agent.plan.firewall import plan_firewall
from agent.render.nft_firewall import render_firewall
from tests.lab.firewall_topology import UPLINKS, peer, wire
from tests.lab.netns import Namespace, netns

CONFIG = """
site: { name: test, prefix: fd00:1:2::/48 }
bus: { host: 10.98.0.1, password_file: /none, users_file: /none }
networks:
  home: { subnet: 0x10, ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.100-10.10.0.199 }, uplinks: [kpn, odido] }
  iot: { subnet: 0x30, ipv4: 10.30.0.0/24, uplinks: [odido, kpn] }
  dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.99 } }
uplinks:
  kpn: { kind: dhcp, priority: 10 }
  odido: { kind: dhcp, priority: 20 }
hosts:
  nas: { network: home, ipv4: 10.10.0.5, suffix: "::5" }
rules:
  - { from: home, to: [internet, iot], action: accept }
  - { from: iot, to: internet, action: accept }
  - { from: home, to: firewall, tcp: 53, action: accept }
  - { from: iot, to: home, tcp: 8080, action: reject }
  - { from: internet, to: nas, family: ipv6, tcp: 443, action: accept, log: true }
forwards:
  web: { tcp: 443, to: nas }
"""


def whoami(source: str, target: str, port: int, *, timeout: float = 3) -> str:
    """Connect by TCP and return what the server says: the address it sees. Call it inside a namespace."""
    with socket.create_connection((target, port), timeout=timeout, source_address=(source, 0)) as connection:
        return connection.recv(200).decode()


def _answer(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, peer = listener.accept()
            threading.Thread(target=_talk, args=(connection, peer[0]), daemon=True).start()


def _talk(connection: socket.socket, peer: str) -> None:
    with connection, suppress(OSError):
        connection.sendall(peer.removeprefix("::ffff:").encode())
        while data := connection.recv(1000):
            connection.sendall(data)


@dataclass
class World:
    """The namespaces, and the firewall as its plan wants it."""

    spaces: dict[str, Namespace]
    settings: Settings
    stack: ExitStack
    peers: dict[str, Peer] = field(default_factory=dict)
    applied: Plan | None = None
    lists: dict[str, ListContent] = field(default_factory=dict)
    utc_offset: int = 0

    def sh(self, name: str, script: str) -> str:
        """Shell lines inside a namespace."""
        return self.spaces[name].sh(script)

    def serve(self, name: str, port: int) -> None:
        """Answer TCP connections in a namespace with the address they come from, then echo."""
        listener = self.spaces[name].call(
            lambda: socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        )
        self.stack.callback(listener.close)
        threading.Thread(target=_answer, args=(listener,), daemon=True).start()

    def ask(self, name: str, target: str, port: int = 7, *, timeout: float = 3) -> str:
        """What a server sees when a namespace connects to it."""
        source = "::" if ":" in target else "0.0.0.0"
        return self.spaces[name].call(lambda: whoami(source, target, port, timeout=timeout))

    def connect(self, name: str, target: str, port: int = 7) -> socket.socket:
        """A connection that stays open."""
        found = self.spaces[name].call(lambda: socket.create_connection((target, port), timeout=3))
        self.stack.callback(found.close)
        return found

    def refused(self, name: str, target: str, port: int) -> str:
        """How a connection fails: `TimeoutError` where packets are dropped in silence. Fails where it succeeds."""
        try:
            answer = self.ask(name, target, port, timeout=0.4)
        except OSError as error:
            return error.strerror or type(error).__name__
        raise AssertionError(f"{name} reached {target}:{port} and was seen as {answer}")

    def told(self, name: str, target: str) -> str:
        """What a host is told that cannot be reached: the words of ping for the ICMP error, empty for silence."""
        ping = self.sh(name, f"ping -c1 -W2 {target} || :")
        return next((line.partition("Destination ")[2] for line in ping.splitlines() if "Destination " in line), "")

    def counter(self, chain: str) -> int:
        """Packets of all counters of a chain of the firewall."""
        listing = json.loads(self.sh("fw", f"nft -j list chain inet router {chain}"))
        rules = [item["rule"]["expr"] for item in listing["nftables"] if "rule" in item]
        return sum(e["counter"]["packets"] for rule in rules for e in rule if isinstance(e.get("counter"), dict))

    def accepted(self) -> dict[str, int]:
        """Packets that each rule of the configuration, and each forward, accepted."""
        listing = json.loads(self.sh("fw", "nft -j list table inet router"))["nftables"]
        rules = {c["counter"]["name"]: c["counter"]["packets"] for c in listing if "counter" in c}
        sets = (item["set"] for item in listing if "set" in item and item["set"]["name"] == "forwards4")
        elements = (element["elem"] for found in sets for element in found.get("elem", []))
        return rules | {str(element["val"]): element["counter"]["packets"] for element in elements}

    # --- the firewall ---

    def state(self) -> State:
        """What the firewall knows: its links, and the peers as they are now."""
        links = {
            link["ifindex"]: Link(link["ifindex"], link["ifname"], mac=link.get("address", ""), up=True, carrier=True)
            for link in json.loads(self.sh("fw", "ip -j link"))
        }
        return State(
            synced=True,
            links=MappingProxyType(links),
            peers=MappingProxyType(dict(self.peers)),
            lists=MappingProxyType(dict(self.lists)),
            utc_offset=self.utc_offset,
        )

    def plan(self) -> Plan:
        """The firewall's plan now."""
        return plan_firewall(self.settings, self.state(), 0.0)

    def apply(self) -> Plan:
        """Make the firewall what the plan says: the difference only, new routes before old ones go."""
        plan, old = self.plan(), self.applied
        links = {index: link.name for index, link in self.state().links.items()}
        lines: list[str] = []
        assert isinstance(plan.nft, FirewallTable)
        if old is None:
            lines += [f"echo {value} > /proc/sys/{key}" for key, value in plan.sysctls]
        lines += [
            f"ip addr replace {a.ip} dev {links[a.index]} nodad"
            for a in plan.addresses - (old.addresses if old else frozenset())
        ]
        lines += [f"ip neigh replace {n.ip} lladdr {n.mac} dev {links[n.index]} nud permanent" for n in plan.neighbours]
        before = old.routes if old else frozenset()
        lines += [f"ip -{r.destination.version} route replace {_route(r, links)}" for r in plan.routes - before]
        lines += [f"ip -{r.family} rule add {_rule(r)}" for r in plan.rules - (old.rules if old else frozenset())]
        self.sh("fw", "\n".join(lines))
        same = old is not None and isinstance(old.nft, FirewallTable) and old.nft.policy == plan.nft.policy
        self.nft(plan.nft, elements_only=same)
        gone = [f"ip -{r.destination.version} route del {_route(r, links)}" for r in before - plan.routes]
        gone += [f"ip -{r.family} rule del {_rule(r)}" for r in (old.rules if old else frozenset()) - plan.rules]
        self.sh("fw", "\n".join(gone))
        self.applied = plan
        return plan

    def nft(self, table: FirewallTable, *, elements_only: bool) -> None:
        """Load the table, or its elements, in one transaction."""
        ruleset = render_firewall(table)
        text = "" if elements_only else ruleset.skeleton
        for name, elements in ruleset.elements.items():
            text += f"flush {'set' if name.startswith('list') else 'map'} inet router {name}\n"
            pairs = (f"{key} : {value}" if value else key for key, value in elements.items())
            text += "".join(f"add element inet router {name} {{ {pair} }}\n" for pair in pairs)
        run = partial(subprocess.run, ["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)
        done = self.spaces["fw"].call(run)
        assert done.returncode == 0, done.stderr

    def change(self, name: str, **facts: Any) -> Plan:
        """An ingress says something new."""
        self.peers[name] = replace(self.peers[name], **facts)
        return self.apply()

    def carrier(self, name: str, up: bool) -> Plan:
        """An uplink's link goes down or up."""
        link = self.peers[name].link
        assert link is not None
        return self.change(name, link=replace(link, carrier=up))


def _route(route: Route, links: dict[int, str]) -> str:
    kind = "" if route.kind == "unicast" else f"{route.kind} "
    via = f" via {route.gateway}" if route.gateway is not None else ""
    device = f" dev {links[route.index]}" if route.index is not None else ""
    metric = f" metric {route.metric}" if route.metric else ""
    return f"{kind}{route.destination}{via}{device} table {route.table}{metric} proto 98"


def _rule(rule: PolicyRule) -> str:
    mark = f" fwmark {rule.fwmark}/{rule.fwmask}" if rule.fwmark is not None else ""
    suppress = "" if rule.suppress_prefixlength is None else f" suppress_prefixlength {rule.suppress_prefixlength}"
    iif = f" iif {rule.iif}" if rule.iif else ""
    return f"priority {rule.priority}{iif}{mark} lookup {rule.table}{suppress} protocol 98"


@contextmanager
def firewall_world(directory: Path, config: str = CONFIG) -> Iterator[World]:
    """The world with both uplinks up and the firewall's plan applied; nothing of it stays behind."""
    path = directory / "router.yaml"
    path.write_text(config)
    with ExitStack() as stack:
        names = ("net", "kpn", "odido", "sw", "fw", "host", "nas", "cam", "node")
        spaces = {name: stack.enter_context(netns(name)) for name in names}
        world = World(spaces, load(path, {}), stack, {name: peer(name) for name in UPLINKS})
        wire(spaces)
        world.apply()
        for space, port in (
            ("net", 7),
            ("nas", 443),
            ("nas", 444),
            ("nas", 8080),
            ("cam", 7),
            ("fw", 53),
            ("fw", 1883),
        ):
            world.serve(space, port)
        yield world
