"""radvd with the configuration of the plan, and the kernel as its client."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from agent.desired.advertise import AdvertisedPrefix, AdvertisedRoute, RadvdConfig, RadvdInterface
from agent.render.radvd import render_radvd
from tests.lab.netns import Namespace, netns
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab

SITE = IPv6Network("fd00:1:2::/48")


def config(lifetime: int) -> RadvdConfig:
    home = (AdvertisedPrefix(IPv6Network("fd00:1:2:10::/64"), 14400, 86400),)
    dmz = (AdvertisedPrefix(IPv6Network("fd00:1:2:99::/64"), 14400, 86400),)
    return RadvdConfig(
        (
            RadvdInterface("home", lifetime, home, dns=(IPv6Address("2620:fe::fe"),), search=("home.arpa",), mtu=1492),
            RadvdInterface("dmz", 0, dmz, routes=(AdvertisedRoute(SITE, 1800),), source=IPv6Address("fe80::1")),
        )
    )


class Advertiser:
    """radvd in a namespace with two links, each with a client at its other end."""

    def __init__(self, directory: Path, router: Namespace, host: Namespace, ingress: Namespace) -> None:
        self.path = directory / "radvd.conf"
        self.router, self.host, self.ingress = router, host, ingress
        router.sh("sysctl -qw net.ipv6.conf.all.forwarding=1")
        for device, client in (("home", host), ("dmz", ingress)):
            client.sh(
                "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
                " net.ipv6.conf.default.use_tempaddr=0"
            )
            router.sh(f"ip link add {device} type veth peer name eth0 netns {client.name}; ip link set {device} up")
        router.sh("ip addr add fd00:1:2:10::1/64 dev home nodad; ip addr add fd00:1:2:99::1/64 dev dmz nodad")
        router.sh("ip addr add fe80::1/64 dev dmz nodad")
        host.sh("sysctl -qw net.ipv6.conf.eth0.accept_ra=2; ip link set eth0 up")
        # As an ingress takes advertisements on the DMZ (design.md): the way back only.
        ingress.sh(
            "sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.eth0.accept_ra=2"
            " net.ipv6.conf.eth0.accept_ra_defrtr=0 net.ipv6.conf.eth0.accept_ra_rt_info_max_plen=64"
            "; ip link set eth0 up"
        )
        self.write(1800)
        self.process = router.popen("radvd", "-n", "-C", str(self.path), "-p", str(directory / "radvd.pid"))

    def write(self, lifetime: int) -> None:
        """Write radvd.conf after radvd itself found no fault with it."""
        file = render_radvd(config(lifetime))
        self.path.write_text(file.text)
        assert file.check is not None
        command = [part.format(path=self.path) for part in file.check]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def advertiser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Advertiser]:
    with netns("router") as router, netns("host") as host, netns("ingress") as ingress:
        found = Advertiser(Path(tmp_path_factory.mktemp("radvd")), router, host, ingress)
        yield found
        found.process.terminate()
        found.process.wait(10)


def routes(space: Namespace, what: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(space.sh(f"ip -6 -j route show {what} proto ra") or "[]")
    return found


def addresses(space: Namespace) -> list[dict[str, Any]]:
    links = json.loads(space.sh("ip -6 -j addr show dev eth0 scope global"))
    return [address for link in links for address in link.get("addr_info", []) if address]


@pytest.mark.rfc("7084", "L-6")
@pytest.mark.rfc("7084", "L-2")
def test_a_host_makes_itself_an_address_and_takes_the_default_route(advertiser: Advertiser) -> None:
    default = wait_for(lambda: routes(advertiser.host, "default"), 15, "a default route")
    assert default[0]["gateway"].startswith("fe80::")
    (address,) = wait_for(lambda: addresses(advertiser.host), 15, "an address")

    assert IPv6Address(address["local"]) in IPv6Network("fd00:1:2:10::/64")
    assert 86000 < address["valid_life_time"] <= 86400
    assert 14000 < address["preferred_life_time"] <= 14400
    assert advertiser.host.sh("cat /proc/sys/net/ipv6/conf/eth0/mtu").strip() == "1492"


@pytest.mark.rfc("4191", "route information")
def test_an_ingress_learns_its_way_back_and_no_default_router(advertiser: Advertiser) -> None:
    (way,) = wait_for(lambda: routes(advertiser.ingress, str(SITE)), 15, "the route to the plan")
    assert way["gateway"] == "fe80::1"
    assert 1700 < way["expires"] <= 1800
    (address,) = wait_for(lambda: addresses(advertiser.ingress), 15, "an address")
    assert IPv6Address(address["local"]) in IPv6Network("fd00:1:2:99::/64")
    assert routes(advertiser.ingress, "default") == []


@pytest.mark.rfc("7084", "G-5")
def test_no_uplink_left_takes_the_default_route_away_at_once(advertiser: Advertiser) -> None:
    wait_for(lambda: routes(advertiser.host, "default"), 15, "a default route")
    advertiser.write(0)
    advertiser.process.send_signal(1)
    wait_for(lambda: not routes(advertiser.host, "default"), 3, "the default route to go")
    assert addresses(advertiser.host)
    advertiser.write(1800)
    advertiser.process.send_signal(1)
    wait_for(lambda: routes(advertiser.host, "default"), 3, "the default route to come back")


@pytest.mark.rfc("4191", "over a restart")
def test_the_way_back_outlives_a_restart_of_radvd(advertiser: Advertiser) -> None:
    wait_for(lambda: routes(advertiser.ingress, str(SITE)), 15, "the route to the plan")
    wait_for(lambda: routes(advertiser.host, "default"), 15, "a default route")
    advertiser.process.terminate()
    advertiser.process.wait(10)
    # RFC 4861 section 6.2.5: it says goodbye on the networks; the ingress keeps its way.
    wait_for(lambda: not routes(advertiser.host, "default"), 3, "the final advertisement")
    assert routes(advertiser.ingress, str(SITE))
    advertiser.process = advertiser.router.popen(
        "radvd", "-n", "-C", str(advertiser.path), "-p", str(advertiser.path) + ".pid"
    )
    wait_for(lambda: routes(advertiser.host, "default"), 15, "a default route")
