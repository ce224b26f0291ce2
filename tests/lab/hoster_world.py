"""A rented server in the lab: the hoster's gateway, the router of compose/router-hoster.yaml as it is, VMs, containers.

    outside 203.0.113.7, 2001:db8:f::7
       | core
    provider  192.0.2.129, fe80::1 on `line`: takes frames of one MAC alone; routes the /64, or asks for each address
       | line (wan0)
    hetzner --- dmz --- firewall --- hosts (ports of VMs isolated) --- vm1, vm2, vmx
                           `-------- lan --------------------------- vm1, vm2
    vm1: web 2001:db8:77:1:21::80, db 2001:db8:77:1:21::5    vm2: app 2001:db8:77:1:31::7

The containers are namespaces behind a bridge in their VM, as a Docker network in routed mode makes them.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any, Self

from tests.lab import router
from tests.lab.internet import ask, serve_echo
from tests.lab.lab import Lab
from tests.lab.node import REPOSITORY
from tests.lab.router import Services
from tests.lab.services_of import helper_files, service_files
from tests.lab.topology import _FORWARD, _QUICK, NodeSpec, Port
from tests.lab.wait import wait_for

CONFIG = REPOSITORY / "compose" / "router-hoster.yaml"
PERMITTED = "00:50:56:00:ab:cd"
LINK_LOCAL = "fe80::250:56ff:fe00:abcd"  # EUI-64 of it (RFC 4291 appendix A)
OUTSIDE4, OUTSIDE6 = "203.0.113.7", "2001:db8:f::7"
PREFIX = IPv6Network("2001:db8:77:1::/64")
# VM → MAC, index; its containers → suffix
VMS = {"vm1": ("02:00:00:00:00:02", 0x2), "vm2": ("02:00:00:00:00:03", 0x3), "vmx": ("02:00:00:00:03:e8", 0x3E8)}
CONTAINERS = {"web": ("vm1", 0x80), "db": ("vm1", 0x5), "app": ("vm2", 0x7)}
SERVED = ("443/tcp", "80/tcp", "22/tcp", "443/udp")
LAN4 = {"vm1": "10.10.10.11", "vm2": "10.10.10.12"}
NODES = (
    NodeSpec("switch", "switch", sysctls=(("net.ipv6.conf.default.disable_ipv6", "1"),)),
    NodeSpec(
        "outside",
        "emulator",
        (Port("eth0", "core", (f"{OUTSIDE4}/24", f"{OUTSIDE6}/64")),),
        ("192.0.2.128/26 via 203.0.113.1", f"{PREFIX} via 2001:db8:f::1"),
        _QUICK,
    ),
    NodeSpec(
        "provider",
        "emulator",
        (
            Port("core", "core", ("203.0.113.1/24", "2001:db8:f::1/64")),
            Port("line", "line", ("192.0.2.129/26", "fe80::1/64")),
        ),
        (f"{PREFIX} via {LINK_LOCAL} dev line",),
        _FORWARD,
    ),
    NodeSpec("hetzner", "ingress", (Port("wan0", "line"), Port("dmz", "dmz"), Port("backstage", "backstage"))),
    NodeSpec(
        "firewall",
        "firewall",
        (Port("dmz", "dmz"), Port("vms", "hosts"), Port("lan", "lan"), Port("backstage", "backstage")),
    ),
    *(NodeSpec(name, "client", (Port("eth0", "hosts"), Port("eth1", "lan")), sysctls=_FORWARD) for name in VMS),
    *(NodeSpec(name, "client", sysctls=_QUICK) for name in CONTAINERS),
)
_BACKSTAGE = {"firewall": "10.98.0.1/24", "hetzner": "10.98.0.2/24"}


def group(index: int, part: int) -> str:
    """The first five groups of the addresses of a VM: part 0 its own, 1 its containers'."""
    return f"2001:db8:77:1:{index << 4 | part:x}"


def address(name: str) -> str:
    """The address of a VM or a container."""
    if name in VMS:
        return f"{group(VMS[name][1], 0)}::2"
    vm, suffix = CONTAINERS[name]
    return f"{group(VMS[vm][1], 1)}::{suffix:x}"


class HosterWorld(Lab):
    """The world above. `config`: the text of router.yaml, default compose/router-hoster.yaml as it is."""

    def __init__(self, config: str = "") -> None:
        super().__init__(nodes=())
        self._specs = [*NODES]
        self._text = config or CONFIG.read_text()

    def __enter__(self) -> Self:
        with tempfile.TemporaryDirectory() as directory:
            self._certificate(Path(directory))
            self._hold()
        try:
            for name in ("hetzner", "firewall"):
                node = self.nodes[name]
                node.environment |= {"ROUTER_NODE": name, "ROUTER_CONFIG": "/etc/router/router.yaml"}
                node.environment |= {"KEA_DHCP_DATA_DIR": "/var/lib/router/kea"}
                self.services[name] = Services(node)
            self._wire()
            for name in ("outside", *CONTAINERS, *VMS):
                serve_echo(self.nodes[name], *SERVED)
            Lab.running.add(self)
            router.start_all(self.services.values())
            self.settled()
        except BaseException:
            self.keep_logs()
            self.close()
            raise
        return self

    def _certificate(self, directory: Path) -> None:
        """The broker's certificate, which is its own authority."""
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        argv += ["-days", "2", "-subj", "/CN=broker", "-addext", "subjectAltName=IP:10.98.0.1"]
        argv += ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
        subprocess.run(
            [*argv, "-keyout", directory / "key", "-out", directory / "cert"], check=True, capture_output=True
        )
        self._key, self._cert = ((directory / name).read_text() for name in ("key", "cert"))

    def _files(self, spec: NodeSpec) -> dict[str, Any]:
        found: dict[str, Any] = {"/etc/resolv.conf": {"text": ""}, "/etc/hostname": {"text": f"{spec.name}\n"}}
        if spec.kind not in {"ingress", "firewall"}:
            return found
        found["/etc/router/router.yaml"] = {"text": self._text}
        found |= {f"/etc/dinit.d/{name}": {"link": str(path)} for name, path in service_files(spec.kind).items()}
        found |= {f"/usr/lib/router/{name}": {"link": str(path)} for name, path in helper_files(spec.kind).items()}
        if spec.kind == "ingress":
            found["/var/lib/dhcpcd"] = {"link": "/var/lib/router/dhcpcd"}
        passwords = {name: f"secret-of-{name}" for name in ("hetzner", "firewall", *VMS, "observer")}
        secrets = {"bus_ca.pem": self._cert, "bus_cert.pem": self._cert, "bus_key.pem": self._key}
        secrets["bus_password"] = passwords[spec.name] + "\n"
        if spec.kind == "firewall":
            secrets["bus_users"] = "".join(f"{user}:{password}\n" for user, password in passwords.items())
        return found | {f"/run/secrets/{name}": {"text": text, "mode": 0o600} for name, text in secrets.items()}

    # --- wires ---

    def _wire(self) -> None:
        commands = ["link set lo up"]
        for bridge in sorted({port.switch for spec in NODES for port in spec.ports}):
            commands += [f"link add {bridge} type bridge mcast_snooping 0", f"link set {bridge} up"]
        for number, spec in enumerate(NODES):
            for port in spec.ports:
                end, where = f"{port.switch}{number}", f"netns {self.nodes[spec.name].pid}"
                commands.append(f"link add {end} type veth peer name {port.name} {where}")
                commands.append(f"link set {end} master {port.switch} up")
        # Pids are the host's, so from outside the switch's PID namespace.
        outside = ["nsenter", "-t", str(self.nodes["switch"].pid), "-n", "ip", "-batch", "-"]
        subprocess.run(outside, input="\n".join(commands) + "\n", text=True, check=True, capture_output=True)
        for number, spec in enumerate(NODES):
            if spec.name in VMS:  # the hypervisor holds the VMs apart, and knows whose MAC is where: nothing is learned
                nic = ["dev", f"hosts{number}"]
                self.nodes["switch"].run(["bridge", "link", "set", *nic, "isolated", "on", "learning", "off"])
                self.nodes["switch"].run(["bridge", "fdb", "add", VMS[spec.name][0], *nic, "master", "static"])
        for spec in NODES[1:]:
            self._dress(spec)
        for name in VMS:
            self._vm(name)
        hook = "type filter hook ingress device line priority 0"
        guard = f"table netdev guard {{ chain mac {{ {hook}; ether saddr != {PERMITTED} counter drop; }}; }}"
        self.nodes["provider"].run(["nft", guard])
        if "neighbours: proxy" in self._text:  # then it has the whole prefix on link, and asks
            self.nodes["provider"].ip(f"route replace {PREFIX} dev line")

    def _dress(self, spec: NodeSpec) -> None:
        """Links up, addresses and routes by hand."""
        lines = ["link set lo up"]
        if spec.name in VMS:
            lines.append(f"link set eth0 address {VMS[spec.name][0]}")
        for port in spec.ports:
            lines.append(f"link set {port.name} up")
            lines += [f"addr add {a} dev {port.name}{' nodad' if ':' in a else ''}" for a in port.addresses]
            if port.name == "backstage":
                lines.append(f"addr add {_BACKSTAGE[spec.name]} dev backstage")
        self.nodes[spec.name].ip(*lines, *(f"route add {route}" for route in spec.routes))

    def _vm(self, name: str) -> None:
        """What `routerctl host` says: the VM's own address and gateway, a network of its containers."""
        node, index = self.nodes[name], VMS[name][1]
        gateway = f"{group(index, 0)}::1"
        node.ip(f"addr add {address(name)}/76 dev eth0 nodad", f"route add default via {gateway}")
        if name in LAN4:
            node.ip(f"addr add {LAN4[name]}/24 dev eth1", "route add default via 10.10.10.2")
        mine = [container for container, (vm, _) in CONTAINERS.items() if vm == name]
        if not mine:
            return
        node.ip(
            "link add docker0 type bridge",
            "link set docker0 up",
            f"addr add {group(index, 1)}::1/80 dev docker0 nodad",
        )
        for container in mine:
            ends = ["ip", "link", "add", f"c-{container}", "type", "veth", "peer", "name", "eth0"]
            target = ["nsenter", "-t", str(node.pid), "-n", *ends, "netns", str(self.nodes[container].pid)]
            subprocess.run(target, check=True, capture_output=True)
            node.ip(f"link set c-{container} master docker0 up")
            self.nodes[container].ip(
                "link set lo up",
                "link set eth0 up",
                f"addr add {address(container)}/80 dev eth0 nodad",
                f"route add default via {group(index, 1)}::1",
            )

    # --- what tests do ---

    def ctl(self, node: str, *words: str) -> str:
        """What `routerctl` says in a node."""
        return self.nodes[node].output(["routerctl", *words])

    def load(self, text: str) -> None:
        """Run both nodes with another configuration."""
        for name in ("hetzner", "firewall"):
            self.nodes[name].path("/etc/router/router.yaml").write_text(text)
        for name in ("hetzner", "firewall"):
            self.ctl(name, "reload")

    def settled(self, timeout: float = 30.0) -> None:
        """Until containers reach the outside, and the lan does."""
        outside = {"web": OUTSIDE6, "app": OUTSIDE6, "vm1": OUTSIDE4}
        for name, target in outside.items():
            wait_for(lambda n=name, t=target: self.reaches(n, t), timeout, lambda n=name: self._state(n), interval=0.1)  # type: ignore[misc]

    def _state(self, name: str) -> str:
        said = [f"{name} to reach the outside"]
        for node in ("hetzner", "firewall"):
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                said.append(self.ctl(node, "status"))
        return "\n".join(said)

    def reaches(self, name: str, target: str, port: int = 443, timeout: float = 1.0) -> str | None:
        """The source that the other side sees of a TCP connection, None where there is none."""
        return ask(self.nodes[name], "tcp", target, port, timeout=timeout)

    def problems(self, node: str) -> dict[str, Any]:
        """`routerctl status` of a node."""
        return dict(json.loads(self.ctl(node, "status", "--json")))
