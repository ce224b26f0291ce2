"""The Netavark plugin by its protocol: a veth stands for the NIC, two namespaces for the host and the container."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.netns import Namespace, netns

pytestmark = pytest.mark.lab

PLUGIN = Path(__file__).parents[2] / "compose/podman/netavark-host-interface"
MAC = "02:00:00:00:00:aa"


@dataclass
class World:
    """`host` has the NIC `eno1` with two addresses."""

    host: Namespace
    container: Namespace
    state: Path

    def call(self, *argv: str, **options: Any) -> tuple[int, Any]:
        """Exit status and answer of the plugin, run on the host."""
        network = {"id": "2f25", "name": "nic", "driver": "netavark-host-interface", "network_interface": "eno1"}
        wanted = {"interface_name": "line", **options}
        request = {"container_id": "c", "container_name": "c", "network": network, "network_options": wanted}
        return self.ask(request, *argv)

    def ask(self, request: object, *argv: str) -> tuple[int, Any]:
        environment = ["env", f"NETAVARK_HOST_INTERFACE_STATE={self.state}"]
        done = subprocess.run(
            ["ip", "netns", "exec", self.host.name, *environment, sys.executable, str(PLUGIN), *argv],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else None

    @property
    def path(self) -> str:
        return f"/run/netns/{self.container.name}"


def shown(space: Namespace, name: str) -> tuple[str, set[str]]:
    """MAC and addresses of a link; empty when there is none."""
    links = [link for link in json.loads(space.sh("ip -j addr")) if link["ifname"] == name]
    if not links:
        return "", set()
    info = links[0]["addr_info"]
    return links[0]["address"], {f"{a['local']}/{a['prefixlen']}" for a in info if a["scope"] == "global"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with netns("host") as host, netns("container") as container:
        host.sh(f"ip link add eno1 address {MAC} type veth peer name wire; ip link set wire up; ip link set eno1 up")
        host.sh("ip addr add 192.0.2.7/24 dev eno1; ip addr add 2001:db8::7/64 dev eno1 nodad")
        yield World(host, container, tmp_path / "state")


ADDRESSES = {"192.0.2.7/24", "2001:db8::7/64"}


def test_info_names_the_api(world: World) -> None:
    assert world.ask({}, "info") == (0, {"version": "0.1.0", "api_version": "1.0.0"})


def test_create_keeps_name_id_and_driver(world: World) -> None:
    network = {"id": "1", "name": "n", "driver": "netavark-host-interface", "network_interface": "eno1", "options": {}}
    status, answer = world.ask(network, "create")
    assert status == 0
    assert {key: answer[key] for key in network} == network


@pytest.mark.parametrize(
    ("change", "word"), [({"network_interface": ""}, "--interface-name"), ({"subnets": [{"subnet": "x"}]}, "--subnet")]
)
def test_create_refuses_what_it_cannot_do(world: World, change: dict[str, object], word: str) -> None:
    status, answer = world.ask({"id": "1", "name": "n", "network_interface": "eno1", **change}, "create")
    assert status == 1
    assert word in answer["error"]


def test_nic_moves_in_and_back_with_its_addresses(world: World) -> None:
    status, answer = world.call("setup", world.path)
    assert status == 0, answer
    interface = answer["interfaces"]["line"]
    assert interface["mac_address"] == MAC
    assert {subnet["ipnet"] for subnet in interface["subnets"]} == ADDRESSES
    assert shown(world.container, "line") == (MAC, ADDRESSES)
    assert shown(world.host, "eno1") == ("", set())
    assert "UP" in world.container.sh("ip -br link show line")

    assert world.call("teardown", world.path) == (0, None)
    assert shown(world.container, "line") == ("", set())
    assert shown(world.host, "eno1") == (MAC, ADDRESSES)
    assert "UP" in world.host.sh("ip -br link show eno1")
    assert list(world.state.iterdir()) == []


def test_another_mac_is_for_the_container_alone(world: World) -> None:
    status, answer = world.call("setup", world.path, static_mac="02:00:00:00:00:bb")
    assert status == 0, answer
    assert shown(world.container, "line")[0] == "02:00:00:00:00:bb"
    world.call("teardown", world.path)
    assert shown(world.host, "eno1")[0] == MAC


def test_container_may_have_renamed_nothing_and_podman_may_ask_twice(world: World) -> None:
    world.call("setup", world.path)
    assert world.call("teardown", world.path)[0] == 0
    assert world.call("teardown", world.path)[0] == 0
    assert shown(world.host, "eno1") == (MAC, ADDRESSES)


def test_nic_in_use_is_an_error_that_podman_can_show(world: World) -> None:
    world.call("setup", world.path)
    status, answer = world.call("setup", world.path)
    assert status == 1
    assert "no interface eno1" in answer["error"]
    assert world.call("teardown", world.path)[0] == 0
    assert shown(world.host, "eno1") == (MAC, ADDRESSES)


def test_unknown_word_is_an_error(world: World) -> None:
    assert "usage" in world.ask({}, "explode")[1]["error"]
