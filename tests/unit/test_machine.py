"""What VMs with containers are told."""

from __future__ import annotations

import json
from ipaddress import IPv6Network
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.cli import main
from agent.config import load
from agent.plan.hypervisor import hypervisor
from agent.plan.machine import MachineError, docker_machine
from agent.render import machine_docker
from agent.render.hypervisor import interfaces, networkd

HOSTER = Path(__file__).parents[2] / "compose/router-hoster.yaml"
HOME = Path(__file__).parents[2] / "compose/router-home.yaml"
NAMES = ("vmbr0", "vmbr1", "vmbr2")


def with_suffixes(directory: Path, *suffixes: str) -> Path:
    """The hoster's configuration with containers of those suffixes on vm1."""
    text = HOSTER.read_text()
    known = 'hosts:\n  web: { docker_host: vm1, suffix: "::80" }'
    assert known in text
    more = "".join(f'\n  h{number}: {{ docker_host: vm1, suffix: "{s}" }}' for number, s in enumerate(suffixes))
    path = directory / "router.yaml"
    path.write_text(text.replace(known, known + more))
    return path


def test_parts_of_the_containers_prefix(tmp_path: Path) -> None:
    machine = docker_machine(load(with_suffixes(tmp_path, "::2:0:9", "::81"), {}), "vm1")
    assert str(machine.address) == "2001:db8:77:1:20::2/76"
    assert str(machine.gateway) == "2001:db8:77:1:20::1"
    assert [(n.name, str(n.subnet), [name for name, _ in n.members]) for n in machine.fixed] == [
        ("public", "2001:db8:77:1:21::/96", ["h1", "web"]),
        ("public-2", "2001:db8:77:1:21:2::/96", ["h0"]),
    ]
    document = json.loads(machine_docker.daemon_json(machine))
    assert document["ip6tables"] is False
    assert document["fixed-cidr-v6"] == "2001:db8:77:1:21:1::/96"
    assert document["default-address-pools"][1] == {"base": "2001:db8:77:1:21:8000::/81", "size": 96}
    services = yaml.safe_load(machine_docker.compose(machine))["services"]
    assert services["h0"]["networks"] == {"public-2": {"ipv6_address": "2001:db8:77:1:21:2:0:9"}}


@given(st.sets(st.integers(2, (1 << 47) - 1).filter(lambda n: n >> 32 != 1 and n & 0xFFFFFFFF > 1), max_size=4))
def test_parts_are_disjoint_and_inside(tmp_path_factory: pytest.TempPathFactory, suffixes: set[int]) -> None:
    suffixes.discard(0x80)
    texts = [str(IPv6Network((suffix, 128)).network_address) for suffix in sorted(suffixes)]
    machine = docker_machine(load(with_suffixes(tmp_path_factory.mktemp("m"), *texts), {}), "vm1")
    parts = [machine.bridge, machine.pool, *(network.subnet for network in machine.fixed)]
    assert all(part.subnet_of(machine.containers) for part in parts)
    assert not any(one.overlaps(other) for one, other in combinations(parts, 2))
    assert sum(len(network.members) for network in machine.fixed) == len(suffixes) + 1


@pytest.mark.parametrize(
    ("suffix", "said"),
    [
        ("::1:0:5", "the default bridge's, 2001:db8:77:1:21:1::/96"),
        ("::8000:0:5", "the part that Docker gives out itself"),
        ("::1", "is Docker's own"),
    ],
)
def test_suffix_that_docker_cannot_give(suffix: str, said: str, tmp_path: Path) -> None:
    settings = load(with_suffixes(tmp_path, suffix), {})
    with pytest.raises(MachineError, match=f"hosts.h0: .*{said}"):
        docker_machine(settings, "vm1")


def test_unknown_machine_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["host", "vm9", "--daemon-json", "--config", str(HOSTER)]) == 1
    assert capsys.readouterr().err == "there is no docker host `vm9`; there are: vm1, vm2, vmx\n"
    ports = ("--port", "vm9=tap1")
    assert main(["hypervisor", "--nic", "eno1", "--proxmox", "--config", str(HOSTER), *ports]) == 1
    assert "there is no docker host `vm9`" in capsys.readouterr().err


def test_bridges_of_the_hypervisor() -> None:
    found = hypervisor(load(HOSTER, {}), "eno1", NAMES, {"vm2": "tap102i1"})
    assert [(b.name, b.port, [nic.name for nic in b.nics], b.isolated) for b in found.bridges] == [
        ("vmbr0", "eno1", ["wan0"], False),
        ("vmbr1", "", ["lan"], False),
        ("vmbr2", "", ["vms"], True),
    ]
    text = interfaces(found)
    assert "bridge-ports eno1 wan0-p\n" in text
    assert "# vm1: MAC 02:00:00:00:00:02 on vmbr2, port not given: NOT HELD APART" in text
    files = networkd(found)
    assert 'iifname . ether saddr { "tap102i1" . 02:00:00:00:00:03 } accept;' in files["router-hosts.nft"]
    assert files["21-eno1.network"] == "[Match]\nName=eno1\n\n[Network]\nBridge=vmbr0\nLinkLocalAddressing=no\n"


def test_router_on_a_trunk_is_no_such_machine() -> None:
    with pytest.raises(MachineError, match="is a VLAN on the router's trunk"):
        hypervisor(load(HOME, {}), "eno1", NAMES)


def test_names_that_meet_are_said() -> None:
    with pytest.raises(MachineError, match="two interfaces would be called wan0"):
        hypervisor(load(HOSTER, {}), "wan0", NAMES)
