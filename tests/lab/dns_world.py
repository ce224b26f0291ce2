"""A lab for names. Its forwarder is asked without TLS: BIND 9.18 of bookworm has no forwarders over TLS."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab.internet import NAMES_PORT
from tests.lab.node import Node
from tests.lab.topology import INTERNET4
from tests.lab.uplinks_world import UplinksWorld, config
from tests.lab.wait import wait_for

TLS = (
    'forwarders: [ { address: 9.9.9.9, tls_name: dns.quad9.net }, { address: "2620:fe::fe", tls_name: dns.quad9.net } ]'
)
PLAIN = f"forwarders: [ {{ address: {INTERNET4}, port: {NAMES_PORT} }} ]"
FIREWALL4, FIREWALL6 = "10.10.0.1", "fd4b:9ca2:1d70:10::1"


@dataclass(frozen=True)
class Answer:
    """What dig heard: the status, the flags, and the data of the answer section, sorted."""

    status: str
    flags: tuple[str, ...]
    data: tuple[str, ...]


def dig(node: Node, name: str, kind: str = "A", server: str = FIREWALL4, *options: str) -> Answer:
    """Ask a server. Status `none` where it does not answer."""
    argv = ["dig", "+time=2", "+tries=1", "+noall", "+comments", "+answer", *options, f"@{server}", name, kind]
    lines = node.run(argv, check=False).stdout.splitlines()
    status = next((line.split("status: ")[1].split(",")[0] for line in lines if "status: " in line), "none")
    flags = next((line.split("flags: ")[1].split(";")[0].split() for line in lines if ";; flags: " in line), [])
    data = (line.split(None, 4)[4] for line in lines if line and not line.startswith(";"))
    return Answer(status, tuple(flags), tuple(sorted(data)))


def wait_data(node: Node, name: str, kind: str, *data: str, server: str = FIREWALL4, timeout: float = 30.0) -> None:
    """Until a name has these data, in any order; none: until it has none."""
    wanted = tuple(sorted(data))

    def right() -> bool:
        return dig(node, name, kind, server).data == wanted

    wait_for(right, timeout, lambda: f"{name} {kind} to be {wanted}; it is {dig(node, name, kind, server)}")


class DnsWorld(UplinksWorld):
    """Its firewall asks the emulated internet's resolver; the laptop and the phone are the clients."""

    def __init__(self, *changes: tuple[str, str]) -> None:
        self._changes = ((TLS, PLAIN), *changes)
        super().__init__(self.config())

    def config(self, *changes: tuple[str, str]) -> str:
        """Its configuration, with further texts changed."""
        return config(*self._changes, *changes)

    @property
    def firewall(self) -> Node:
        """The firewall's node."""
        return self.nodes["firewall"]

    @property
    def laptop(self) -> Node:
        """A client in `home`."""
        return self.nodes["laptop"]

    @property
    def phone(self) -> Node:
        """A client in `guest`."""
        return self.nodes["phone"]

    def resolved(self, name: str) -> set[str]:
        """The addresses that getaddrinfo(3) finds on the laptop."""
        script = f"import socket; print(*{{a[4][0] for a in socket.getaddrinfo({name!r}, 80)}})"
        return set(self.laptop.output(["python3", "-c", script]).split())

    def name_of(self, address: str) -> str:
        """The name of an address, empty for none."""
        return self.laptop.output(["dig", "+short", "+time=2", f"@{FIREWALL4}", "-x", address]).strip()

    def called(self, node: str, name: str = "") -> str:
        """Have a client ask for a lease anew under a name of its own; its address."""
        client = self.nodes[node]
        client.run(["dhcpcd", "-x", "eth0"], check=False)
        wait_for(lambda: not client.addresses("eth0", 4), 10, "the old lease to go")
        options = ["-h", name or node, "-f", "/run/dhcpcd.conf"]
        client.spawn(["dhcpcd", "-B", *options, "eth0"], "dhcpcd")
        return self.addresses(node)[4]

    def refusals(self) -> int:
        """How often D2 was refused a name that is somebody else's."""
        return self.logs("firewall").count("DHCP_DDNS_FORWARD_REPLACE_REJECTED")

    def restart(self, service: str) -> None:
        """Restart a service of the firewall; returns when it is up."""
        self.services["firewall"].dinitctl("restart", service)
        wait_for(lambda: self.services["firewall"].is_started(service), 10, f"{service} to be up")
        wait_for(lambda: dig(self.laptop, "nas.home.arpa").status == "NOERROR", 20, "names to be served")

    def hosts_again(self) -> None:
        """Have the agent look at the zones again."""
        self.ctl("reload")

    def try_load(self, text: str) -> None:
        """Run with this configuration, as far as that can be."""
        self.firewall.path("/etc/router/router.yaml").write_text(text)
        self.firewall.run(["routerctl", "reload"], check=False)
        self._loaded = text

    def said(self) -> str:
        """The errors and problems of `routerctl status` that names can have."""
        document = json.loads(self.ctl("status", "--json"))
        errors = [f"{name}: {part['error']}" for name, part in document["parts"].items() if part["error"]]
        problems = (p for p in document["problems"] if p["part"].startswith("dns"))
        return "\n".join([*errors, *(f"{p['part']}: {p['message']}" for p in problems)])

    def fingerprint(self, part: str) -> str:
        """That of what a part applied, as the bus has it; empty for nothing."""
        return self._heard(part, "fingerprint")

    def on_the_bus(self, part: str, text: str) -> None:
        """Until the bus says this of a part."""
        wait_for(lambda: text in self._heard(part), 20, lambda: f"{part} to say {text!r}: {self._heard(part)}")

    def _heard(self, part: str, field: str = "error") -> str:
        argv = ["mosquitto_sub", "-V", "5", "-h", "10.98.0.1", "-u", "observer", "-P", "secret-of-observer", "-W", "1"]
        argv += ["-C", "1", "-t", f"backstage/1/home/firewall/status/{part}"]
        heard = self.firewall.run(argv, check=False).stdout
        return str(json.loads(heard)[field]) if heard else ""
