"""Names outside: the addresses behind each uplink in somebody else's zone, on a real named."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.dns_world import DnsWorld, dig
from tests.lab.topology import INTERNET4
from tests.lab.uplinks_world import PREFIX
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
PORT = 5354
NAME = "nas.dyn.example"
NEXT = "2001:db8:a200::/48"
KPN4, ODIDO4, KPN6, NEXT6 = "192.0.2.2", "198.51.100.2", "2001:db8:a100:10::5", "2001:db8:a200:10::5"
PUBLIC = (
    f"public: {{ zone: dyn.example, server: {INTERNET4}, port: {PORT}, key_file: /run/secrets/public_key, ttl: 30s }}"
)
KEY_FILE = "/run/secrets/public_key"
KEY = 'key "router" {{\n\talgorithm hmac-sha256;\n\tsecret "{}";\n}};\n'
SECRET, OTHER = "c2VjcmV0LW9mLXRoZS1wcm92aWRlcg==", "YW5vdGhlci1zZWNyZXQtYWx0b2dldGhlcg=="
NAMED = f"""
include "/run/public/key";
key "reader" {{ algorithm hmac-sha256; secret "{OTHER}"; }};
options {{ directory "/run/public"; pid-file none; session-keyfile none; listen-on port {PORT} {{ any; }};
    listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; }};
controls {{ }};
zone "dyn.example" {{ type primary; file "zone"; update-policy {{ grant "router" zonesub A AAAA; }}; }};
"""
ZONE = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 203.0.113.7\nwww A 203.0.113.7\n"


class Provider:
    """The primary of dyn.example."""

    def __init__(self, world: DnsWorld) -> None:
        self.node = world.nodes["internet"]
        self.node.run(["mkdir", "/run/public"])
        for name, text in (("key", KEY.format(SECRET)), ("named.conf", NAMED), ("zone", ZONE)):
            self.node.path(f"/run/public/{name}").write_text(text)
        self._process: subprocess.Popen[Any] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = self.node.spawn(["named", "-g", "-n", "1", "-c", "/run/public/named.conf"], "public")
        wait_for(lambda: self.data("A", "www.dyn.example"), 10, lambda: self.node.log("public"))

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def data(self, kind: str, name: str = NAME) -> tuple[str, ...]:
        """What it says of a name."""
        return dig(self.node, name, kind, INTERNET4, "-p", str(PORT)).data

    def wait(self, four: tuple[str, ...], six: tuple[str, ...], timeout: float = 30.0) -> None:
        """Until the name has exactly these addresses."""
        wait_for(
            lambda: (self.data("A"), self.data("AAAA")) == (tuple(sorted(four)), tuple(sorted(six))),
            timeout,
            lambda: f"{four} {six}; it is {self.data('A')} {self.data('AAAA')}",
        )


@pytest.fixture(scope="module")
def world() -> Iterator[DnsWorld]:
    with DnsWorld() as world:
        world.firewall.path(KEY_FILE).write_text(KEY.format(SECRET))
        yield world


@pytest.fixture(scope="module")
def provider(world: DnsWorld) -> Iterator[Provider]:
    provider = Provider(world)
    yield provider
    provider.stop()


@pytest.fixture(autouse=True)
def published(world: DnsWorld, provider: Provider) -> None:
    """Each test begins with the name behind both uplinks."""
    world.load(text(world))
    world.uses("home", "kpn")
    provider.wait((KPN4, ODIDO4), (KPN6,))


def text(world: DnsWorld, *changes: tuple[str, str]) -> str:
    """The configuration with a public name."""
    nas = 'nas:     { network: home, ipv4: 10.10.0.5, suffix: "::5" }'
    return world.config(
        (nas, nas.replace(" }", f", public: {NAME} }}")), ("  ddns: true", f"  ddns: true\n  {PUBLIC}"), *changes
    )


def test_a_name_has_the_addresses_behind_every_healthy_uplink(world: DnsWorld, provider: Provider) -> None:
    shown = provider.node.output(["dig", "+noall", "+answer", "-p", str(PORT), f"@{INTERNET4}", NAME, "AAAA"])
    assert shown.split()[1] == "30", "the TTL of the configuration"
    said = world.ctl("dns")
    assert NAME in said
    assert KPN6 in said
    assert SECRET not in said + world.logs("firewall")
    wait_for(lambda: world.fingerprint("dns.dyn.example"), 10, "the bus to say that it is applied")


def test_a_new_prefix_is_a_new_address(world: DnsWorld, provider: Provider) -> None:
    kpn = world.nodes["kpn"]
    kpn.ip(f"route add unreachable {NEXT} proto dhcp", f"route del unreachable {PREFIX} proto dhcp")
    provider.wait((KPN4, ODIDO4), (NEXT6,))
    kpn.ip(f"route add unreachable {PREFIX} proto dhcp", f"route del unreachable {NEXT} proto dhcp")
    provider.wait((KPN4, ODIDO4), (KPN6,))


def test_an_uplink_that_fails_loses_its_addresses(world: DnsWorld, provider: Provider) -> None:
    world.down("kpn")
    provider.wait((ODIDO4,), ())
    world.up("kpn")
    provider.wait((KPN4, ODIDO4), (KPN6,))
    world.ctl("uplink", "odido", "drain")
    provider.wait((KPN4,), (KPN6,))
    world.ctl("uplink", "odido", "enable")


def test_what_a_server_that_is_down_missed_is_told_it_later(world: DnsWorld, provider: Provider) -> None:
    provider.stop()
    try:
        world.down("odido")
        wait_for(lambda: f"{INTERNET4} port {PORT}: connection refused" in world.said(), 20, world.said)
        world.on_the_bus("dns.dyn.example", "connection refused")
        assert world.firewall.run(["routerctl", "health"], check=False).returncode == 0, "the router itself is well"
    finally:
        provider.start()
        try:
            provider.wait((KPN4,), (KPN6,), timeout=60)
            wait_for(lambda: "dyn.example" not in world.said(), 20, world.said)
        finally:
            world.up("odido")


def test_a_wrong_key_is_called_so(world: DnsWorld, provider: Provider) -> None:
    path = world.firewall.path(KEY_FILE)
    wrong = (
        (KEY.format(OTHER), "has another secret for the key `router`"),
        (KEY.format(SECRET).replace("router", "nobody"), "does not know the key `nobody`"),
        (KEY.format(OTHER).replace("router", "reader"), "refuses to change dyn.example: REFUSED"),
        ("no key at all", f"the TSIG key {KEY_FILE}: not `key"),
    )
    for key, message in wrong:
        path.write_text(key)
        world.load(text(world, ("ttl: 30s", "ttl: 31s")))
        world.ctl("reload")
        wait_for(lambda message=message: message in world.said(), 20, world.said)  # type: ignore[misc]
        assert provider.data("AAAA") == (KPN6,), "what is there stays"
    path.write_text(KEY.format(SECRET))
    world.ctl("reload")
    wait_for(lambda: world.said() == "", 60, world.said)


def test_a_name_that_nobody_wants_goes_and_no_other(world: DnsWorld, provider: Provider) -> None:
    world.load(text(world, (f"public: {NAME}", "public: other.dyn.example")))
    provider.wait((), ())
    assert provider.data("AAAA", "other.dyn.example") == (KPN6,)
    world.load(text(world))
    provider.wait((KPN4, ODIDO4), (KPN6,))
    assert provider.data("A", "other.dyn.example") == ()
    assert provider.data("A", "www.dyn.example") == (INTERNET4,), "what is not ours stays"


@pytest.mark.rfc("2136", "update")
def test_what_another_changed_is_put_right(world: DnsWorld, provider: Provider) -> None:
    update = f"server {INTERNET4} {PORT}\nupdate delete {NAME} AAAA\nupdate add {NAME} 60 A 203.0.113.99\nsend\n"
    provider.node.run(["nsupdate", "-k", "/run/public/key"], stdin=update)
    world.ctl("reload")
    provider.wait((KPN4, ODIDO4), (KPN6,))
