"""`routerctl host` and `routerctl hypervisor`: texts for machines that are not the router's. They apply nothing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.terminal import fail

if TYPE_CHECKING:
    from agent.config import Settings
    from agent.desired.machine import DockerMachine


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser], config: Path) -> None:
    """Add the commands."""
    host = commands.add_parser("host", help="what a VM with containers must be told: a file for it on stdout")
    host.add_argument("name", help="its name in `docker_hosts`")
    kinds = host.add_mutually_exclusive_group(required=True)
    for option, text in (
        ("daemon-json", "Docker: /etc/docker/daemon.json"),
        ("compose", "Docker: a compose file for containers with fixed addresses"),
        ("networkd", "its address: /etc/systemd/network/10-router.network"),
        ("netplan", "its address: /etc/netplan/60-router.yaml"),
        ("sysctl", "forwarding: /etc/sysctl.d/90-router.conf"),
    ):
        kinds.add_argument(f"--{option}", dest="kind", action="store_const", const=option, help=text)
    host.set_defaults(run=_host)

    below = commands.add_parser("hypervisor", help="the bridges for the router and its VMs on their hypervisor")
    below.add_argument("--nic", required=True, help="the machine's NIC towards the provider, like eno1")
    below.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="VM=PORT",
        help="the hypervisor's end of a VM's NIC, like vm1=tap101i1: it then reaches the router alone, by its MAC",
    )
    ways = below.add_mutually_exclusive_group(required=True)
    ways.add_argument("--proxmox", action="store_true", help="a piece of /etc/network/interfaces, on stdout")
    ways.add_argument("--networkd", type=Path, metavar="DIR", help="files for /etc/systemd/network, written to DIR")
    below.set_defaults(run=_hypervisor)
    for command in (host, below):
        command.add_argument("--config", type=Path, default=config, help="the router's configuration")


def _settings(path: Path) -> Settings | str:
    from agent.config import ConfigError, load  # noqa: PLC0415

    try:
        return load(path, os.environ)
    except ConfigError as error:
        return str(error)


def _host(arguments: argparse.Namespace) -> int:
    from agent.plan.machine import MachineError, docker_machine  # noqa: PLC0415
    from agent.render import machine_address, machine_docker  # noqa: PLC0415

    texts: dict[str, Callable[[DockerMachine], str]] = {
        "daemon-json": machine_docker.daemon_json,
        "compose": machine_docker.compose,
        "networkd": machine_address.networkd,
        "netplan": machine_address.netplan,
        "sysctl": machine_address.sysctl,
    }
    settings = _settings(arguments.config)
    if isinstance(settings, str):
        return fail(settings)
    try:
        machine = docker_machine(settings, arguments.name)
    except MachineError as error:
        return fail(str(error))
    sys.stdout.write(texts[arguments.kind](machine))
    return 0


def _hypervisor(arguments: argparse.Namespace) -> int:
    from agent.plan.hypervisor import hypervisor  # noqa: PLC0415
    from agent.plan.machine import MachineError  # noqa: PLC0415
    from agent.render import hypervisor as render  # noqa: PLC0415

    settings = _settings(arguments.config)
    if isinstance(settings, str):
        return fail(settings)
    names = ("vmbr0", "vmbr1", "vmbr2") if arguments.proxmox else ("internet", "internal", "hosts")
    try:
        ports = dict(word.partition("=")[::2] for word in arguments.port)
        found = hypervisor(settings, arguments.nic, names, ports)
    except MachineError as error:
        return fail(str(error))
    apart = [vm.name for bridge in found.bridges for vm in bridge.machines if not vm.port]
    if apart:
        sys.stderr.write(f"not held apart from the others, for want of --port: {', '.join(apart)}\n")
    if arguments.proxmox:
        sys.stdout.write(render.interfaces(found))
        return 0
    arguments.networkd.mkdir(parents=True, exist_ok=True)
    for name, text in render.networkd(found).items():
        (arguments.networkd / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{arguments.networkd / name}\n")
    return 0
