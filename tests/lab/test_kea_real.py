"""Kea with the configuration of the plan, and dhcpcd as its client on a network and on the DMZ."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeAlias

import pytest

from agent.desired.dhcp4 import Reservation
from agent.render.kea import render_kea_dhcp4
from tests.lab.kea_server import DMZ, HOME, Server
from tests.lab.netns import Namespace, netns

pytestmark = pytest.mark.lab

Served: TypeAlias = tuple[Server, dict[str, Namespace]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with netns("router") as router, netns("home") as home, netns("dmz") as dmz:
        clients = {"home": home, "dmz": dmz}
        found = Server(Path(tmp_path_factory.mktemp("kea")), router, clients)
        yield found, clients
        found.stop()


def lease(space: Namespace, directory: Path, *, client_id: str = "", mac: str = "") -> dict[str, str]:
    """What dhcpcd is given: the variables of its hook. One shot, nothing stays configured."""
    if mac:
        space.sh(f"ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up")
    config = directory / "dhcpcd.conf"
    config.write_text(
        "nodev\noption routers,classless_static_routes,domain_name_servers,domain_name,domain_search,host_name\n"
        "noarp\nipv4only\n" + (f"clientid {client_id}\n" if client_id else "clientid\n")
    )
    hook = directory / "hook"
    bound = directory / "bound"
    bound.unlink(missing_ok=True)
    hook.write_text(f"#!/bin/sh\n[ $reason = BOUND ] || exit 0\nenv > {bound}\n")
    hook.chmod(0o755)
    # Its own leases and pid files live in fixed places: a mount namespace of its own keeps them apart.
    script = (
        "mount -t tmpfs none /var/lib/dhcpcd; mount -t tmpfs none /run\n"
        f"exec dhcpcd -4 -1 -B -t 20 -f {config} -c {hook} eth0"
    )
    command = ["ip", "netns", "exec", space.name, "unshare", "-m", "sh", "-euc", script]
    Path("/var/lib/dhcpcd").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=40)
    assert bound.exists(), done.stdout + done.stderr
    lines = (line.partition("=") for line in bound.read_text().splitlines())
    found = {name: value for name, _, value in lines if name.startswith("new_")}
    space.sh("ip addr flush dev eth0")
    return found


def test_a_host_gets_an_address_of_the_pool_and_the_options(server: Served, tmp_path: Path) -> None:
    found = lease(server[1]["home"], tmp_path, mac="02:00:00:00:10:77")
    assert IPv4Address("10.10.0.100") <= IPv4Address(found["new_ip_address"]) <= IPv4Address("10.10.0.199")
    assert found["new_routers"] == "10.10.0.1"
    assert found["new_domain_name_servers"] == "9.9.9.9"
    assert found["new_domain_name"] == "home.arpa"
    assert found["new_domain_search"] == "home.arpa"
    assert found["new_dhcp_lease_time"] == "3600"
    assert "new_classless_static_routes" not in found


def test_a_host_of_the_configuration_gets_its_own_address(server: Served, tmp_path: Path) -> None:
    found = lease(server[1]["home"], tmp_path, mac="02:00:00:00:10:05")
    assert (found["new_ip_address"], found.get("new_host_name")) == ("10.10.0.5", "nas")


@pytest.mark.rfc("3442", "option 121")
@pytest.mark.rfc("2131", "DMZ")
def test_an_ingress_is_known_by_its_name_and_gets_the_way_back_only(server: Served, tmp_path: Path) -> None:
    found = lease(server[1]["dmz"], tmp_path, client_id="kpn", mac="02:00:00:00:99:77")
    assert found["new_ip_address"] == "10.99.0.10"
    assert found["new_classless_static_routes"] == "10.10.0.0/24 10.99.0.1 10.30.0.0/20 10.99.0.1"
    assert "new_routers" not in found


@pytest.mark.rfc("2131", "DMZ")
def test_an_ingress_without_a_client_id_is_known_by_its_mac(server: Served, tmp_path: Path) -> None:
    assert lease(server[1]["dmz"], tmp_path, mac="02:00:00:00:99:0b")["new_ip_address"] == "10.99.0.11"


def test_a_reload_takes_a_new_reservation_without_a_restart(server: Served, tmp_path: Path) -> None:
    kea, clients = server
    printer = Reservation(IPv4Address("10.10.0.6"), mac="02:00:00:00:10:06", hostname="printer")
    kea.reload(replace(kea.config, subnets=(replace(HOME, reservations=(*HOME.reservations, printer)), DMZ)))
    assert lease(clients["home"], tmp_path, mac="02:00:00:00:10:06")["new_ip_address"] == "10.10.0.6"
    assert kea.process.poll() is None


def test_a_link_that_is_made_anew_is_served_again(server: Served, tmp_path: Path) -> None:
    kea, clients = server
    assert lease(clients["home"], tmp_path, mac="02:00:00:00:10:78")
    kea.router.sh("ip link del home")
    index = kea.connect("home", "10.10.0.1", clients["home"])
    # The same in all but the ifindex: the file differs, so the daemon is told.
    anew = replace(kea.config, subnets=(replace(HOME, index=index), DMZ))
    assert render_kea_dhcp4(anew).text != render_kea_dhcp4(kea.config).text
    kea.reload(anew)
    assert lease(clients["home"], tmp_path, mac="02:00:00:00:10:79")
