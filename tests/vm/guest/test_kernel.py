"""What the machine is for: a kernel that has what the router needs and the host's may lack."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.netns import netns


@pytest.mark.parametrize(
    "module", ["ppp_generic", "pppoe", "8021q", "wireguard", "nf_flow_table", "nf_flow_table_inet"]
)
def test_kernel_has_the_module(module: str) -> None:
    subprocess.run(["modprobe", module], check=True)
    assert Path("/sys/module", module.replace("-", "_")).is_dir()


def test_kernel_takes_a_flowtable_over_vlan_devices() -> None:
    with netns() as space:
        space.sh(
            "ip link add trunk type veth peer name other; ip link set trunk up; ip link set other up\n"
            "ip link add link trunk name home type vlan id 10; ip link add link other name wan type vlan id 6\n"
            "nft 'table inet t { flowtable f { hook ingress priority 0; devices = { home, wan }; }; }'"
        )
        listed = space.sh("nft list flowtable inet t f")
        assert "home" in listed
        assert "wan" in listed


def test_kernel_makes_a_wireguard_link() -> None:
    with netns() as space:
        assert "wireguard" in space.sh("ip link add wan type wireguard; ip -d link show wan")
