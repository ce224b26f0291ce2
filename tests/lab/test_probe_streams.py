"""Probes that are more than a packet, against servers of this process on `lo`: the right answer, a wrong one, none."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
from scapy.layers.dns import DNS, DNSRR

from agent.desired.probe import FamilyProbes, Rounds, Target
from agent.drivers.probe import dns, stream
from agent.drivers.probe.stream import ASK_ERRORS, Streams
from agent.model import Family, IPAddress

pytestmark = pytest.mark.lab
LOCAL: dict[Family, IPAddress] = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}


def streams(family: Family = 4, *servers: IPAddress) -> Streams:
    return Streams("lo", FamilyProbes(family, LOCAL[family], (), Rounds(), servers))


@asynccontextmanager
async def answering(
    text: bytes, family: Family = 4, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads a request and answers with this text: its port, and the requests it read."""
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            read.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(text)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, str(LOCAL[family]), 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], read


class Resolver(asyncio.DatagramProtocol):
    """Answers what `reply` makes of a query."""

    def __init__(self, reply: Callable[[DNS], bytes]) -> None:
        self.reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(self.reply(DNS(data)), address)


@asynccontextmanager
async def resolving(**fields: Any) -> AsyncIterator[int]:
    def reply(query: DNS) -> bytes:
        return bytes(DNS(**({"id": query.id, "qr": 1, "qd": query.qd} | fields)))

    made = asyncio.get_running_loop().create_datagram_endpoint(lambda: Resolver(reply), local_addr=("127.0.0.1", 0))
    transport, _ = await made
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def fails(asking: Coroutine[Any, Any, None], text: str) -> None:
    with pytest.raises(ASK_ERRORS, match=text):
        await asyncio.wait_for(asking, 5)


@pytest.mark.parametrize("family", [4, 6])
async def test_a_port_that_is_open_answers(family: Family) -> None:
    async with answering(b"", family) as (port, _):
        await streams(family).ask(Target("tcp", LOCAL[family], port))
    await fails(streams(family).ask(Target("tcp", LOCAL[family], port)), "Connect call failed")


async def test_status_204_is_right_and_a_captive_portal_is_wrong() -> None:
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, read):
        await streams().ask(Target("http", LOCAL[4], port, host="127.0.0.1", path="/generate_204"))
    assert read[0].startswith(b"GET /generate_204 HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    for text in (b"HTTP/1.1 200 OK\r\n\r\nlog in here", b"HTTP/1.1 302 Found\r\n\r\n", b"SSH-2.0-x\r\n"):
        async with answering(text) as (port, _):
            await fails(streams().ask(Target("http", LOCAL[4], port, host="127.0.0.1", path="/")), "status 204")
    async with answering(b"") as (port, _):
        await fails(streams().ask(Target("http", LOCAL[4], port, host="127.0.0.1", path="/")), "bytes read")


@pytest.fixture
def expired(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key. It has expired where openssl makes such a one."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=probe", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out"]
    for days in ("-1", "1"):
        made = subprocess.run([*command, "-days", days, *names, certificate], check=False, capture_output=True)
        if made.returncode == 0:
            break
    return certificate, key


async def test_a_certificate_must_be_good_whatever_the_time(
    expired: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = expired
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    target = Target("http", LOCAL[4], 0, host="127.0.0.1", path="/", tls=True)
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n", tls=server) as (port, _):
        asked = Target("http", target.address, port, host=target.host, path="/", tls=True)
        await fails(streams().ask(asked), "(?i)certificate")
        trusting = stream._tls.__wrapped__()
        trusting.load_verify_locations(certificate)
        monkeypatch.setattr(stream, "_tls", lambda: trusting)
        await streams().ask(asked)
        other = Target("http", target.address, port, host="example.com", path="/", tls=True)
        await fails(streams().ask(other), "(?i)certificate")


async def test_a_dns_server_that_answers_is_right_and_one_that_fails_is_wrong() -> None:
    for fields in ({"an": [DNSRR(rrname="example.com", type="A", rdata="192.0.2.7")]}, {"rcode": 3}):
        async with resolving(**fields) as port:
            await streams().ask(Target("dns", LOCAL[4], port, name="example.com"))
    async with resolving(rcode=2) as port:
        await fails(streams().ask(Target("dns", LOCAL[4], port, name="example.com")), "code 2")


async def test_the_name_of_a_url_is_asked_of_the_uplinks_own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        resolving(an=[DNSRR(rrname="check.example", type="A", rdata="127.0.0.1")]) as dns_port,
        answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, read),
    ):
        monkeypatch.setattr(dns, "PORT", dns_port)
        await streams(4, LOCAL[4]).ask(Target("http", None, port, host="check.example", path="/"))
        assert b"Host: check.example\r\n" in read[0]
        await fails(streams().ask(Target("http", None, port, host="check.example", path="/")), "no DNS server")
