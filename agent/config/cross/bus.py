"""`bus`: TLS where it is meant, and the files a broker of our own needs."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.finding import Complaint
from agent.config.settings import Settings

_PLAIN_PORT = 1883
_TLS_PORT = 8883


def check(settings: Settings) -> Iterator[Complaint]:
    """Ports against TLS, certificates against keys, users of the broker."""
    bus = settings.bus
    if bus.port == _TLS_PORT and bus.tls is None:
        mend = "add `tls: { ca_file: …, cert_file: …, key_file: … }`, or take port 1883"
        yield Complaint(("bus", "port"), "8883 is the port of MQTT over TLS, and there is no `tls`", mend)
    if bus.port == _PLAIN_PORT and bus.tls is not None:
        message = "1883 is the port of plain MQTT, and there is `tls`"
        yield Complaint(("bus", "port"), message, "take port 8883", level="warning")
    if bus.broker == "firewall" and bus.users_file is None:
        mend = "add `users_file: …` (`routerctl secrets DIR` makes one), or `broker: external`"
        yield Complaint(("bus", "users_file"), "our own broker knows no users", mend, at_key=True)
    if bus.tls is not None:
        yield from _certificates(settings)
    elif settings.docker_hosts:
        message = "docker hosts speak from other machines, and the bus is plain MQTT"
        yield Complaint(("bus",), message, "add `tls` and take port 8883", level="warning", at_key=True)


def _certificates(settings: Settings) -> Iterator[Complaint]:
    tls = settings.bus.tls
    assert tls is not None  # noqa: S101 -- the caller has looked
    if (tls.cert_file is None) != (tls.key_file is None):
        lacking = "cert_file" if tls.cert_file is None else "key_file"
        message = "a certificate and its private key go together"
        yield Complaint(("bus", "tls", lacking), message, f"add `{lacking}: …`", at_key=True)
    elif settings.bus.broker == "firewall" and tls.cert_file is None:
        message = "our own broker needs a certificate for TLS"
        yield Complaint(("bus", "tls", "cert_file"), message, "add `cert_file: …` and `key_file: …`", at_key=True)
