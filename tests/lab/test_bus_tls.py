"""The bus over TLS: the broker's certificate must be good and name the host that we connect to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.desired.broker import BrokerTls
from agent.drivers.bus import BusTls
from agent.model import UplinkLink
from tests.lab.bus_broker import Broker, mosquitto
from tests.lab.bus_kit import running

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate"),
]

LINK = UplinkLink(carrier=True, mtu=1500)


def make_certificate(directory: Path, name: str, address: str) -> BrokerTls:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}"]
    usage = ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
    subprocess.run([*command, "-keyout", key, "-out", certificate, *subject, *usage], check=True, capture_output=True)
    key.chmod(0o600)
    return BrokerTls(str(certificate), str(key))


@pytest.fixture
def broker() -> Iterator[Broker]:
    with mosquitto(started=False) as broker:
        tls = make_certificate(broker.directory, "good", "127.0.0.1")
        broker.config = replace(broker.config, tls=tls, user="root")
        broker.start()
        yield broker


async def test_facts_travel_over_tls(broker: Broker) -> None:
    tls = BusTls(broker.directory / "good.pem")
    ours, theirs = (replace(broker.bus_config(node), tls=tls) for node in ("kpn", "firewall"))
    async with running(ours, LINK), running(theirs, LINK) as firewall:
        assert (await firewall.heard("kpn", "uplink/link")).fact == LINK


async def test_a_certificate_of_somebody_else_is_refused(broker: Broker) -> None:
    other = make_certificate(broker.directory, "other", "127.0.0.1")
    config = replace(broker.bus_config("kpn"), tls=BusTls(Path(other.cert_file)))
    async with running(config, LINK) as kpn:
        await kpn.trouble("certificate verify failed")


async def test_a_certificate_for_another_host_is_refused(broker: Broker) -> None:
    config = replace(broker.bus_config("kpn"), tls=BusTls(broker.directory / "good.pem"), host="localhost")
    async with running(config, LINK) as kpn:
        await kpn.trouble("certificate is not valid for 'localhost'")


async def test_an_authority_that_cannot_be_read_is_a_clear_error(broker: Broker) -> None:
    (broker.directory / "empty.pem").write_text("")
    async with running(replace(broker.bus_config("kpn"), tls=BusTls(broker.directory / "empty.pem")), LINK) as kpn:
        await kpn.trouble("cannot use bus.tls.ca_file")
