"""A VM's Docker engine with our daemon.json: every container is reached by its own address, and nothing is translated.

client 2001:db8:f::7 in `gw` --- the firewall's side ::20::1 | ::20::2, MAC 02:…:02 in `vm`, with the engine
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from agent.config import load
from agent.plan.machine import docker_machine
from agent.render.machine_docker import compose, daemon_json
from tests.engine import base
from tests.engine.engine import Engine
from tests.engine.machine import engine_in
from tests.engine.store import EngineMissingError
from tests.lab.netns import Namespace, netns

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

CONFIG = Path(__file__).parents[2] / "compose/router-hoster.yaml"
CLIENT = "2001:db8:f::7"
# Answers each connection with the address that it came from.
SERVER = (
    "use IO::Socket::IP; my $s = IO::Socket::IP->new(LocalPort => 80, Listen => 9, V6Only => 0, ReuseAddr => 1,"
    " Family => 10) or die $@; while (my $c = $s->accept) { print $c $c->peerhost; close $c }"
)


@dataclass(frozen=True)
class Vm:
    engine: Engine
    outside: Namespace
    directory: Path

    def run(self, name: str, *options: str) -> None:
        self.engine.docker("run", "-d", "--name", name, *options, base.IMAGE, "perl", "-e", SERVER)

    def address(self, name: str) -> IPv6Address:
        networks = json.loads(self.engine.docker("inspect", name))[0]["NetworkSettings"]["Networks"]
        (network,) = networks.values()
        return IPv6Address(network["GlobalIPv6Address"])

    def asked(self, address: IPv6Address) -> str:
        """What the container says of whom it sees."""
        script = f"exec 3<>/dev/tcp/{address}/80 && cat <&3"
        argv = ("ip", "netns", "exec", self.outside.name, "timeout", "10", "bash", "-c", script)
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def vm() -> Iterator[Vm]:
    settings = load(CONFIG, {})
    machine = docker_machine(settings, "vm1")
    with ExitStack() as stack:
        outside, inside = stack.enter_context(netns("gw")), stack.enter_context(netns("vm"))
        outside.sh(f"""
            ip link add vm type veth peer name eth0 netns {inside.name}
            ip link set vm up
            ip addr add {machine.gateway}/76 dev vm nodad
            ip addr add {CLIENT}/128 dev lo
            ip route add {machine.containers} via {machine.address.ip} src {CLIENT}""")
        inside.sh(f"""
            ip link set eth0 address {machine.mac} up
            ip addr add {machine.address} dev eth0 nodad
            ip route add default via {machine.gateway}
            ip route add unreachable {machine.containers} metric 1024""")
        directory = Path(tempfile.mkdtemp(prefix="vm1-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        try:
            engine = stack.enter_context(engine_in(inside, directory, daemon_json(machine)))
        except EngineMissingError as error:
            pytest.skip(f"no Docker engine: {error}")
        yield Vm(engine, outside, directory)


def test_containers_are_reached_whatever_their_network(vm: Vm) -> None:
    machine = docker_machine(load(CONFIG, {}), "vm1")
    vm.engine.docker("network", "create", "own")
    vm.run("plain")
    vm.run("published", "-p", "8080:80")
    vm.run("mine", "--network", "own")
    parts = {"plain": machine.bridge, "published": machine.bridge, "mine": machine.pool}
    addresses = {name: vm.address(name) for name in parts}
    for name, part in parts.items():
        assert addresses[name] in part
        assert vm.asked(addresses[name]) == CLIENT, f"{name} sees the client itself"
    assert len(set(addresses.values())) == 3
    # And the other way: the client sees the container, not the VM.
    script = f"timeout 10 bash -c 'echo > /dev/tcp/{CLIENT}/7' 2>&1 || true"
    wire = subprocess.Popen(
        ["ip", "netns", "exec", vm.outside.name, "tcpdump", "-lnc1", "-i", "vm", f"dst {CLIENT} and tcp dst port 7"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wire.stderr is not None
    next(line for line in wire.stderr if "listening on" in line)
    vm.engine.docker("exec", "mine", "sh", "-c", script)
    out, _ = wire.communicate(timeout=20)
    assert f"IP6 {addresses['mine']}." in out


def test_compose_gives_a_known_container_its_address(vm: Vm) -> None:
    machine = docker_machine(load(CONFIG, {}), "vm1")
    own = {"services": {"web": {"image": base.IMAGE, "command": ["perl", "-e", SERVER.replace("$", "$$")]}}}
    (vm.directory / "compose.yaml").write_text(json.dumps(own))
    (vm.directory / "router.yaml").write_text(compose(machine))
    files = [option for name in ("compose.yaml", "router.yaml") for option in ("-f", str(vm.directory / name))]
    vm.engine.docker("compose", "-p", "site", *files, "up", "-d")
    address = IPv6Address("2001:db8:77:1:21::80")
    assert vm.asked(address) == CLIENT
    vm.engine.docker("compose", "-p", "site", *files, "down")


def test_addresses_that_no_container_has_are_unreachable(vm: Vm) -> None:
    unused = IPv6Network("2001:db8:77:1:21:7000::/96").network_address + 5
    script = f"ip netns exec {vm.outside.name} ping -6 -c1 -W2 {unused}"
    done = subprocess.run(script.split(), capture_output=True, text=True, check=False)
    assert "unreachable" in done.stdout.lower(), done.stdout
