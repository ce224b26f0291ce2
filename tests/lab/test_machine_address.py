"""A VM's own address, as systemd-networkd sets it: from our file, and from netplan's, made of ours."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import main
from tests.lab.foreign import NETWORKD, ForeignMissingError, machine, unpacked
from tests.lab.netns import Namespace, netns
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab

CONFIG = str(Path(__file__).parents[2] / "compose/router-hoster.yaml")
ADDRESS, GATEWAY, BEYOND = "2001:db8:77:1:20::2", "2001:db8:77:1:20::1", "2001:db8:f::7"
UNUSED = "2001:db8:77:1:21:7000::5"


def generated(capsys: pytest.CaptureFixture[str], kind: str) -> str:
    assert main(["host", "vm1", f"--{kind}", "--config", CONFIG]) == 0
    return capsys.readouterr().out


def by_netplan(text: str, directory: Path) -> str:
    """What netplan tells networkd."""
    try:
        root = unpacked()
    except ForeignMissingError as error:
        pytest.skip(f"no netplan: {error}")
    file = directory / "etc/netplan/60-router.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    file.chmod(0o600)
    libraries = next(root.glob("usr/lib/*/libnetplan.so*")).parent
    subprocess.run(
        [str(next(root.glob("usr/libexec/netplan/generate"))), "--root-dir", str(directory)],
        env={"LD_LIBRARY_PATH": str(libraries)},
        check=True,
    )
    made = (directory / "run/systemd/network/10-netplan-router.network").read_text()
    assert "PermanentMACAddress=02:00:00:00:00:02" in made
    # One end of a veth pair has no permanent address, unlike a VM's NIC.
    return made.replace("PermanentMACAddress", "MACAddress")


@pytest.fixture
def spaces() -> Iterator[tuple[Namespace, Namespace]]:
    with netns("fw") as firewall, netns("vm") as vm:
        firewall.sh(f"""
            ip link add vm type veth peer name eth0 netns {vm.name}
            ip link set vm up
            ip addr add {GATEWAY}/76 dev vm nodad
            ip addr add {BEYOND}/128 dev lo
            ip route add 2001:db8:77:1:21::/80 via {ADDRESS}""")
        vm.sh("ip link set eth0 address 02:00:00:00:00:02; ip link add other type veth peer name other-p")
        yield firewall, vm


@pytest.mark.parametrize("kind", ["networkd", "netplan"])
def test_machine_is_reached_and_reaches_what_is_beyond(
    kind: str, spaces: tuple[Namespace, Namespace], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if not NETWORKD.exists():
        pytest.skip("no systemd-networkd on this machine")
    firewall, vm = spaces
    text = generated(capsys, kind)
    if kind == "netplan":
        text = by_netplan(text, tmp_path)
    for line in generated(capsys, "sysctl").splitlines():
        if not line.startswith("#"):
            vm.sh(f"sysctl -qw {line.replace(' ', '')}")
    with machine(vm, f"exec {NETWORKD}", {"/run/systemd/network": {"10-router.network": text}}):
        ping = f"ping -6 -c1 -W1 -I {ADDRESS} {BEYOND} >/dev/null 2>&1 && echo answered || true"
        wait_for(lambda: "answered" in vm.sh(ping), 20, lambda: vm.sh("ip addr; ip -6 route"))
        assert "answered" in firewall.sh(f"ping -6 -c1 -W5 {ADDRESS} >/dev/null && echo answered")
        # No Docker network holds it: said at once, instead of asking for a neighbour that is not there.
        assert "unreachable" in firewall.sh(f"ping -6 -c1 -W5 {UNUSED} || true").lower()
        assert "inet6" not in vm.sh("ip addr show dev other"), "other NICs are left alone"
