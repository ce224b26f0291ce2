"""Kea's control socket: a text is tried by the running server, a reload says how it went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from agent.desired.dhcp4 import Reservation
from agent.drivers.kea import KeaSocket
from agent.render.kea import render_kea_dhcp4
from tests.lab.kea_server import DMZ, HOME, Server
from tests.lab.netns import netns

pytestmark = pytest.mark.lab
PRINTER = Reservation(IPv4Address("10.10.0.6"), mac="02:00:00:00:10:06", hostname="printer")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with netns("router") as router, netns("home") as home, netns("dmz") as dmz:
        found = Server(Path(tmp_path_factory.mktemp("kea")), router, {"home": home, "dmz": dmz})
        yield found
        found.stop()


def control(server: Server) -> str:
    """The path of its socket, as the file that is generated names it."""
    return render_kea_dhcp4(server.config).socket


async def test_the_running_server_tries_a_text_without_effect(server: Server) -> None:
    more = replace(server.config, subnets=(replace(HOME, reservations=(*HOME.reservations, PRINTER)), DMZ))
    before = server.said()
    assert await KeaSocket().test(control(server), render_kea_dhcp4(more).text) == ""
    wrong = replace(HOME, pool=(IPv4Address("192.0.2.1"), IPv4Address("192.0.2.9")))
    refused = await KeaSocket().test(control(server), render_kea_dhcp4(replace(more, subnets=(wrong, DMZ))).text)
    assert refused is not None
    assert "192.0.2.1" in refused
    assert "DHCP4_CONFIG_COMPLETE" not in server.said().removeprefix(before)


async def test_a_reload_says_how_it_went_and_a_good_file_mends_a_failed_one(server: Server) -> None:
    good = server.path.read_text()
    server.path.write_text(good.replace('"interface": "home"', '"interface": "gone"'))
    said = await KeaSocket().reload(control(server))
    assert said is not None
    assert "gone" in said
    server.path.write_text(good)
    assert await KeaSocket().reload(control(server)) == ""
    assert server.said().rstrip().splitlines()[-1].count("DHCP4") == 1


async def test_nobody_answers_where_no_server_runs(tmp_path: Path) -> None:
    socket = KeaSocket()
    assert await socket.test(str(tmp_path / "none"), "{}") is None
    assert await socket.reload(str(tmp_path / "none")) is None
