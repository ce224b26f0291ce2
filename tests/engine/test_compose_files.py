"""Every compose project is understood by compose, and gives the router's containers no more than they need."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engine.engine import Engine
from tests.engine.images import ROOT
from tests.engine.project import Project
from tests.lab.service_file import load
from tests.lab.services_of import service_files

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

PROJECTS = {
    "ipoe-demo": ("ipoe-demo.yaml",),
    "kpn-demo": ("kpn-demo.yaml",),
    "dual-uplink": ("kpn-demo.yaml", "dual-uplink.yaml"),
    "home": ("home.yaml",),
    "hoster": ("hoster.yaml",),
    "hoster-demo": ("hoster.yaml", "hoster-demo.yaml"),
}


def services(engine: Engine, name: str) -> dict[str, dict[str, Any]]:
    """The router's services of a project, as compose understands them."""
    text = Project(engine, PROJECTS[name], profiles=("dual",)).compose("config", "--format", "json")
    found: dict[str, dict[str, Any]] = json.loads(text)["services"]
    return {key: value for key, value in found.items() if value["image"] in {"router-ingress", "router-firewall"}}


@pytest.mark.parametrize("name", PROJECTS)
def test_routers_are_confined(engine: Engine, name: str) -> None:
    found = services(engine, name)
    assert "firewall" in found
    for service in found.values():
        assert not service.get("privileged", False)
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert not {"SYS_ADMIN", "SYS_MODULE", "ALL"} & set(service["cap_add"])
        assert "no-new-privileges" in service["security_opt"]
        assert not service.get("ports"), "a router publishes nothing"


@pytest.mark.parametrize("name", PROJECTS)
def test_routers_keep_their_state_and_come_back(engine: Engine, name: str) -> None:
    for service in services(engine, name).values():
        assert service["restart"] == "unless-stopped"
        assert "/var/lib/router" in {volume["target"] for volume in service["volumes"]}


@pytest.mark.parametrize("role", ["ingress", "firewall"])
def test_grace_exceeds_what_the_services_may_take(engine: Engine, role: str) -> None:
    units = [load(path.parent, name) for name, path in service_files(role).items()]
    # Services stop side by side: the longest counts, and what it depends on after it.
    longest = max(unit.stop_timeout for unit in units if unit.type == "process")
    grace = services(engine, "home")["firewall" if role == "firewall" else "ingress-kpn"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > longest


@pytest.mark.parametrize("name", PROJECTS)
def test_every_interface_is_named_or_has_its_mac(engine: Engine, name: str) -> None:
    for service in services(engine, name).values():
        for network, endpoint in service["networks"].items():
            assert endpoint["interface_name"], network
            assert network == "backstage" or endpoint["mac_address"], network


def test_pppoe_gets_its_device(engine: Engine) -> None:
    for name in ("kpn-demo", "home"):
        devices = services(engine, name)["ingress-kpn"]["devices"]
        assert [device["source"] for device in devices] == ["/dev/ppp"]


def test_reference_configuration_is_mounted_unchanged(engine: Engine) -> None:
    for name, file in (("kpn-demo", "router-home"), ("dual-uplink", "router-dual"), ("home", "router-home")):
        for service in services(engine, name).values():
            mounts = {volume["target"]: volume for volume in service["volumes"]}
            mount = mounts["/etc/router/router.yaml"]
            assert mount["source"] == f"{ROOT}/compose/{file}.yaml"
            assert mount["read_only"]


def test_the_dual_demo_is_the_reference_but_for_the_tunnel_s_key() -> None:
    home, dual = ((ROOT / f"compose/router-{name}.yaml").read_text().splitlines() for name in ("home", "dual"))
    different = [(one, other) for one, other in zip(home, dual[1:], strict=True) if one != other]
    assert len(different) == 1
    assert all("public_key" in line for line in different[0])
