"""The KPN story's network, running: the lab's nodes and services on the topology of tests/vm/topology.py."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from tests.lab import router
from tests.lab.internet import PORTS, ask, serve_echo
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.services_of import service_files
from tests.lab.topology import INTERNET4, INTERNET6, NodeSpec
from tests.lab.wait import wait_for
from tests.vm.pppoe_isp import PASSWORD, PppoeIsp
from tests.vm.topology import ADDRESS, ADMIN4, CLIENT_VLANS, MACS, NODES, PREFIX, PROBES, SPECS

PATIENCE = 180  # seconds for an agent to get ready
EXAMPLE = Path(__file__).resolve().parents[2] / "compose" / "router-home.yaml"
# As in Dockerfile.ingress: no options of Debian's, secrets where the agent writes them.
PPP_FILES: dict[str, Any] = {
    "/etc/ppp/options": {"text": ""},
    "/etc/ppp/chap-secrets": {"link": "/run/router/etc/ppp/chap-secrets"},
    "/etc/ppp/pap-secrets": {"link": "/run/router/etc/ppp/pap-secrets"},
    "/etc/ppp/ip-up": {"text": "#!/bin/sh\n", "mode": 0o755},
    "/etc/ppp/ipv6-up": {"text": "#!/bin/sh\n", "mode": 0o755},
}


def _batch(node: Node, commands: list[str]) -> None:
    argv = ["nsenter", "-t", str(node.pid), "-n", "ip", "-batch", "-"]  # the network alone: pids are the caller's
    subprocess.run(argv, input="\n".join(commands) + "\n", text=True, check=True)


def wire(nodes: Mapping[str, Node]) -> None:
    """Connect the nodes that exist, give them what a machine is given by hand."""
    switch = nodes["switch"]
    commands = ["link set lo up"]
    for bridge in sorted({port.switch for node in nodes.values() for port in node.spec.ports}):
        commands += [f"link add {bridge} type bridge mcast_snooping 0", f"link set {bridge} up"]
    for node in nodes.values():
        for port in node.spec.ports:
            mac = MACS.get((node.name, port.name))
            address = f" address {mac}" if mac else ""
            end = f"{node.name}-{port.name}"[:15]
            commands.append(f"link add {end} type veth peer name {port.name}{address} netns {node.pid}")
            commands.append(f"link set {end} master {port.switch} up")
    _batch(switch, commands)
    for node in nodes.values():
        _batch(node, _dress(node))


def _dress(node: Node) -> list[str]:
    commands = ["link set lo up"]
    for port in node.spec.ports:
        commands.append(f"link set {port.name} up")
        commands += [f"addr add {a} dev {port.name}{' nodad' if ':' in a else ''}" for a in port.addresses]
    if node.name in CLIENT_VLANS:
        commands += [f"link add link eth0 name lan type vlan id {CLIENT_VLANS[node.name]}", "link set lan up"]
    if node.name == "internet":
        commands += [f"addr add {probe} dev lo" for probe in PROBES]
    return commands + [f"route add {route}" for route in node.spec.routes]


class Wire:
    """What crosses the line between ingress and ISP, tags and PPPoE included, from `start` on."""

    def __init__(self, switch: Node) -> None:
        self._switch = switch
        self._process: subprocess.Popen[Any] | None = None

    def start(self, expression: str = "") -> None:
        """Capture anew; `expression` is tcpdump's filter."""
        self.stop()
        argv = ["tcpdump", "-i", "line", "-U", "-s", "400", "-B", "16384", "-w", "/run/line.pcap", *expression.split()]
        self._process = self._switch.popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if b"listening on" in line:
                return
        raise AssertionError("tcpdump did not start")

    def text(self, *options: str) -> str:
        """All that was seen so far, in tcpdump's words."""
        argv = ["tcpdump", "-r", "/run/line.pcap", "-n", "-e", *options]
        return self._switch.run(argv, check=False).stdout

    def hexes(self, *options: str) -> str:
        """The same as hexadecimal digits alone."""
        text = self.text("-x", *options)
        return "".join(line.partition(":")[2].replace(" ", "") for line in text.splitlines() if line.startswith("\t"))

    def count(self, word: str) -> int:
        """How many packets of PPPoE's discovery (PADI, PADT, …) were seen so far."""
        return self.text("vlan and pppoed").count(word)

    def stop(self) -> str:
        """End the capture; its text."""
        if self._process is None:
            return ""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)
        self._process = None
        return self.text()


class Network(Lab):
    """The network with its router on the unchanged example. `nodes`: these only, and the switch."""

    def __init__(self, *nodes: str, config: str | None = None, password: str = PASSWORD) -> None:
        super().__init__(nodes=[], config=config or EXAMPLE.read_text())
        wanted = {"switch", *nodes} if nodes else set(SPECS)
        self._specs = [spec for spec in NODES if spec.name in wanted]
        self._password = password

    def __enter__(self) -> Self:
        try:
            self._hold()
            wire(self.nodes)
        except BaseException:
            self.close()
            raise
        self.provider = PppoeIsp(self.nodes["isp"])
        self.wire = Wire(self.nodes["switch"])
        return self

    def _files(self, spec: NodeSpec) -> dict[str, Any]:
        found = super()._files(spec)
        if spec.kind in {"ingress", "firewall"}:
            # The one thing changed: an emulated processor on a busy machine is that much slower.
            text = service_files(spec.kind)["router-agent"].read_text()
            found["/etc/dinit.d/router-agent"] = {
                "text": text.replace("start-timeout = 60", f"start-timeout = {PATIENCE}")
            }
        if spec.kind == "ingress":
            found |= PPP_FILES
            found["/run/secrets/kpn_ppp"] = {"text": f"{self._password}\n", "mode": 0o600}
        if spec.name == "isp":
            found |= PppoeIsp.files()
        return found

    def serve(self) -> None:
        """Start the internet's echo servers."""
        serve_echo(self.nodes["internet"], *PORTS)

    def connect(self, name: str) -> None:
        """Start a client's DHCPv4; its IPv6 is the kernel's own."""
        node = self.nodes[name]
        node.sysctl("net.ipv6.conf.lan.accept_ra", "2")
        if name == "nas":
            node.ip("token set ::5 dev lan")
            serve_echo(node, "443/tcp", "22/tcp", "27000/udp")
        if name == "admin":
            node.ip(f"addr add {ADMIN4}/24 dev lan", "route add default via 10.5.0.1")
            return
        node.run(["mkdir", "-p", "/var/lib/dhcpcd"])
        node.path("/run/dhcpcd.conf").write_text("nodev\nipv4only\nnoarp\nnoipv4ll\nscript /bin/true\n")
        node.spawn(["dhcpcd", "-B", "-f", "/run/dhcpcd.conf", "lan"], "dhcpcd")

    def start_story(self) -> None:
        """Start all there is and wait until a client reaches the internet by both families."""
        self.provider.start()
        self.serve()
        for name in ("firewall", "kpn"):
            self.services[name].launch()
        for name in ("firewall", "kpn"):
            self.services[name].wait_started(PATIENCE)
        for name in CLIENT_VLANS:
            if name in self.nodes:
                self.connect(name)
        self.wait_reached("laptop")

    def story_so_far(self) -> str:
        """What the router and the ISP say of themselves, for the report of a failure."""
        text = ""
        for name in ("kpn", "firewall"):
            status = self.nodes[name].run(["routerctl", "status"], check=False, timeout=60)
            text += f"--- {name}\n{status.stdout}{status.stderr}\n{self.logs(name)[-5000:]}\n"
        return f"{text}--- pppd of the ISP\n{self.provider.log()[-3000:]}\n"

    def reach(self, name: str, family: int, protocol: Literal["tcp", "udp"] = "tcp") -> str | None:
        """The source that the internet sees of a client's question, None while there is no answer."""
        return ask(self.nodes[name], protocol, INTERNET6 if family == 6 else INTERNET4, timeout=3)

    def wait_reached(
        self, name: str, sources: Mapping[int, str] = MappingProxyType({4: ADDRESS, 6: PREFIX}), timeout: float = 90.0
    ) -> None:
        """Wait until the internet sees a client from these: family → its IPv4 address, or a prefix of IPv6."""
        for family, source in sources.items():

            def seen(family: int = family, source: str = source) -> bool:
                found = self.reach(name, family)
                return found is not None and ip_address(found) in ip_network(source)

            wait_for(seen, timeout, f"{name} to be seen from {source}")

    def session(self) -> int | None:
        """The ifindex of the ingress's PPP link, None while there is none."""
        out = self.nodes["kpn"].run(["ip", "-o", "link", "show", "dev", "wan"], check=False).stdout
        found = re.match(r"(\d+): wan:", out)
        return int(found[1]) if found and "POINTOPOINT" in out else None

    def wan_addresses(self, family: int) -> list[str]:
        """Global addresses of the ingress's uplink; none while there is no such link."""
        return self.nodes["kpn"].addresses("wan", family) if self.session() else []

    def wait_session(self, timeout: float = 60.0, *, other_than: int | None = None) -> int:
        """Wait until there is a PPP link, a new one if `other_than` is the old one's index."""

        def there() -> int | None:
            index = self.session()
            return None if index == other_than else index

        return wait_for(there, timeout, lambda: f"a PPP session; the log:\n{self.nodes['kpn'].log(router.LOG)[-4000:]}")
