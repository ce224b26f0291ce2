"""The hypervisor's bridges as ifupdown2 and systemd-networkd make them from our files, and frames on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6
from scapy.layers.l2 import Ether

from agent.cli import main
from tests.lab.foreign import NETWORKD, ForeignMissingError, machine, unpacked
from tests.lab.netns import Namespace, netns
from tests.lab.packets import Wire
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab

CONFIG = str(Path(__file__).parents[2] / "compose/router-hoster.yaml")
VM1, VM2, STRANGER = "02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:00:99"
ROUTER = "02:00:00:00:0f:01"
# What the hypervisor has before: its NIC, and the VMs' NICs as their programs make them.
MACHINE = """
ip link add eno1 type veth peer name provider
ip link set eno1 up; ip link set provider up
for n in 101 102; do
    ip link add vm$n type veth peer name tap${n}i1
    ip link set vm$n up; ip link set tap${n}i1 up
done
"""
# What the programs that start VMs and containers do afterwards.
PLUG = """
for n in 101 102; do ip link set tap${{n}}i1 master {hosts}; done
ip link set vms address {router}
"""


def generated(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    ports = ("--port", "vm1=tap101i1", "--port", "vm2=tap102i1")
    assert main(["hypervisor", "--nic", "eno1", "--config", CONFIG, *ports, *argv]) == 0
    streams = capsys.readouterr()
    assert streams.err == "not held apart from the others, for want of --port: vmx\n"
    return streams.out


@contextmanager
def proxmox(space: Namespace, capsys: pytest.CaptureFixture[str], _: Path) -> Iterator[str]:
    try:
        root = unpacked()
    except ForeignMissingError as error:
        pytest.skip(f"no ifupdown2: {error}")
    text = generated(capsys, "--proxmox")
    settings = {path.name: path.read_text() for path in (root / "etc/network/ifupdown2").glob("*.conf")}
    files = {"/etc/network": {"interfaces": text}, "/etc/network/ifupdown2": settings}
    script = f"PYTHONPATH={root}/usr/share exec python3 {root}/ifup -a"
    with machine(space, script, files) as process:
        out, _err = process.communicate(timeout=60)
        assert process.returncode == 0, out
        yield "vmbr2"


@contextmanager
def networkd(space: Namespace, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[str]:
    if not NETWORKD.exists():
        pytest.skip("no systemd-networkd on this machine")
    generated(capsys, "--networkd", str(tmp_path))
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with machine(space, f"exec {NETWORKD}", {"/run/systemd/network": files}):
        wait_for(lambda: " master hosts " in space.sh("bridge link show dev vms-p 2>&1 || true"), 30, "the bridges")
        # What the generated service does, once the bridge is there.
        assert "nft -f /etc/systemd/network/router-hosts.nft" in files["router-hosts.service"]
        space.sh(f"nft -f {tmp_path}/router-hosts.nft")
        yield "hosts"


@pytest.mark.parametrize("way", [proxmox, networkd])
def test_bridges_carry_the_router_and_hold_the_machines_apart(
    way: object, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert callable(way)
    with netns("hv") as space:
        space.sh(MACHINE)
        with way(space, capsys, tmp_path) as hosts:
            space.sh(PLUG.format(hosts=hosts, router=ROUTER))
            masters = {
                nic: space.sh(f"bridge link show dev {nic}").split(" master ")[1].split()[0]
                for nic in ("eno1", "wan0-p", "lan-p", "vms-p", "tap101i1")
            }
            assert masters["eno1"] == masters["wan0-p"]
            assert masters["vms-p"] == masters["tap101i1"] == hosts
            assert len({masters["eno1"], masters["lan-p"], masters["vms-p"]}) == 3
            for nic in ("wan0", "lan", "vms"):
                wait_for(lambda n=nic: "LOWER_UP" in space.sh(f"ip link show {n}"), 20, f"{nic} to be up")  # type: ignore[misc]
            wait_for(partial(forwards, space, "wan0-p"), 10, "wan0-p to forward")
            space.call(advertise)
            assert "inet6" not in space.sh("ip -6 addr show dev wan0")
            for port in ("tap101i1", "tap102i1", "vms-p"):
                wait_for(partial(forwards, space, port), 10, f"{port} to forward")
            space.call(frames)


def forwards(space: Namespace, port: str) -> bool:
    return "state forwarding" in space.sh(f"bridge link show dev {port}")


def advertise() -> None:
    """The provider's router advertises a prefix to all; returns when the hypervisor's end of wan0 has seen it."""
    wan = Wire("wan0")
    header = Ether(src="02:00:00:00:0a:01", dst="33:33:00:00:00:01") / IPv6(src="fe80::1", dst="ff02::1", hlim=255)
    prefix = ICMPv6NDOptPrefixInfo(prefix="2001:db8:a::", prefixlen=64, L=1, A=1)
    Wire("provider").raw(header / ICMPv6ND_RA(routerlifetime=1800) / prefix)
    wan.expect(lambda found: ICMPv6ND_RA in found)


def frames() -> None:
    """In the hypervisor: who hears whom."""
    vm1, vm2, router = Wire("vm101"), Wire("vm102"), Wire("vms")

    def frame(source: str, destination: str, port: int) -> Ether:
        inner = IPv6(src="2001:db8:77:1:20::2", dst="2001:db8:77:1:30::2") / UDP(sport=9, dport=port)
        return Ether(src=source, dst=destination) / inner

    vm1.raw(frame(VM1, ROUTER, 1001))
    router.expect(lambda found: UDP in found and found[UDP].dport == 1001)
    router.raw(frame(ROUTER, VM1, 1002))
    vm1.expect(lambda found: UDP in found and found[UDP].dport == 1002)
    # Another VM, by its own address, by broadcast; somebody else's address; an address that nobody has.
    for port, (source, destination) in enumerate(
        ((VM1, VM2), (VM1, "ff:ff:ff:ff:ff:ff"), (VM2, ROUTER), (STRANGER, ROUTER)), start=2001
    ):
        vm1.raw(frame(source, destination, port))
    # What is sent last comes last: when it is there, what is not there was dropped.
    vm1.raw(frame(VM1, ROUTER, 3001))
    router.expect(lambda found: UDP in found and found[UDP].dport == 3001)
    ports = [found[UDP].dport for found in router.passed if UDP in found]
    assert 2003 not in ports
    assert 2004 not in ports
    assert 2002 in ports, "the router hears a broadcast"
    router.raw(frame(ROUTER, VM2, 3002))
    vm2.expect(lambda found: UDP in found and found[UDP].dport == 3002)
    assert not [found for found in vm2.passed if UDP in found and found[UDP].dport in {2001, 2002}]
