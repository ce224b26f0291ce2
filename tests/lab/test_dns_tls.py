"""The configuration unchanged: forwarders over TLS, by the named of the images (BIND 9.20)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.store import EngineMissingError
from tests.lab import bind920
from tests.lab.capture import Capture
from tests.lab.dns_world import TLS, DnsWorld, dig, wait_data
from tests.lab.router import CONFIG
from tests.lab.topology import INTERNET4, INTERNET6, RESOLVER4
from tests.lab.uplinks_world import config

pytestmark = pytest.mark.lab
OUTSIDE_DNS = {53, 853, 5353}


class TlsWorld(DnsWorld):
    """A firewall with BIND 9.20, and with the lab's own forwarders."""

    def __init__(self) -> None:
        super().__init__()
        self._changes = ()
        self._loaded = self._config = config()

    def start_router(self, *names: str) -> None:
        """With BIND 9.20 in the firewall."""
        bind920.give(self.firewall)
        super().start_router(*names)


@pytest.fixture(scope="module")
def world() -> Iterator[TlsWorld]:
    try:
        if not bind920.installed():
            bind920.unpacked()
    except EngineMissingError as error:
        pytest.skip(f"no BIND 9.20: {error}")
    with TlsWorld() as world:
        wait_data(world.laptop, "nas.home.arpa", "A", "10.10.0.5")
        yield world


def test_names_resolve_by_the_forwarders_of_the_file_over_tls_alone(world: TlsWorld) -> None:
    assert TLS in CONFIG.read_text()
    with Capture(world.nodes["internet"], "eth0", lambda p: p.destination_port in OUTSIDE_DNS) as capture:
        answer = dig(world.laptop, "internet.example", "AAAA")
        assert answer.data == (INTERNET6,)
        assert "ad" in answer.flags
        assert {packet.destination_port for packet in capture.packets} == {853}
    assert world.said() == ""


def test_the_version_in_the_image_serves_names_as_the_other_does(world: TlsWorld) -> None:
    address = world.called("laptop")
    wait_data(world.laptop, "laptop.home.arpa", "A", address)
    world.restart("named")
    assert dig(world.laptop, "laptop.home.arpa").data == (address,)
    assert world.name_of(address) == "laptop.home.arpa."
    for name, kind in (("rebind.example", "A"), ("rebind6.example", "AAAA"), ("bogus.example", "A")):
        assert dig(world.laptop, name, kind).data == (), name
    assert dig(world.laptop, "localhost").data == ("127.0.0.1",)
    assert dig(world.laptop, "1.0.16.172.in-addr.arpa", "PTR").status == "NXDOMAIN"


def test_a_resolver_of_another_name_is_told_nothing(world: TlsWorld) -> None:
    world.load(config((TLS, f"forwarders: [ {{ address: {RESOLVER4}, tls_name: dns.example }} ]")))
    heard = world.nodes["internet"].log("names")
    assert dig(world.laptop, "secret.example", "A", "10.10.0.1", "+time=8").status in {"SERVFAIL", "none"}
    assert "secret.example" not in world.nodes["internet"].log("names").removeprefix(heard)
    world.load(config())
    wait_data(world.laptop, "internet.example", "A", INTERNET4)
