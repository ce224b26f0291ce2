"""Kea in a namespace, as the plan configures it, for tests that have clients of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from agent.desired.dhcp4 import Dhcp4Subnet, KeaDhcp4Config, Reservation
from agent.render.kea import render_kea_dhcp4
from tests.lab.netns import Namespace
from tests.lab.wait import wait_for

HOME = Dhcp4Subnet(
    1,
    "home",
    IPv4Network("10.10.0.0/24"),
    (IPv4Address("10.10.0.100"), IPv4Address("10.10.0.199")),
    3600,
    IPv4Address("10.10.0.1"),
    (IPv4Address("9.9.9.9"),),
    "home.arpa",
    (),
    (Reservation(IPv4Address("10.10.0.5"), mac="02:00:00:00:10:05", hostname="nas"),),
)
DMZ = Dhcp4Subnet(
    2,
    "dmz",
    IPv4Network("10.99.0.0/24"),
    (IPv4Address("10.99.0.10"), IPv4Address("10.99.0.99")),
    600,
    routes=(
        (IPv4Network("10.10.0.0/24"), IPv4Address("10.99.0.1")),
        (IPv4Network("10.30.0.0/20"), IPv4Address("10.99.0.1")),
    ),
    reservations=(
        Reservation(IPv4Address("10.99.0.10"), client_id="kpn"),
        Reservation(IPv4Address("10.99.0.11"), client_id="odido"),
        Reservation(IPv4Address("10.99.0.11"), mac="02:00:00:00:99:0b"),
    ),
)


class Server:
    """Kea in a namespace with a link to each of two client namespaces."""

    def __init__(self, directory: Path, router: Namespace, clients: dict[str, Namespace]) -> None:
        self.router, self.path = router, directory / "kea-dhcp4.conf"
        self.config = KeaDhcp4Config((HOME, DMZ), state=str(directory), run=str(directory))
        self.environment = {
            **os.environ,
            "KEA_PIDFILE_DIR": str(directory),
            "KEA_LOCKFILE_DIR": str(directory),
            "KEA_DHCP_DATA_DIR": str(directory),
            "KEA_CONTROL_SOCKET_DIR": str(directory),
        }
        self.connect("home", "10.10.0.1", clients["home"])
        self.connect("dmz", "10.99.0.1", clients["dmz"])
        self.write(self.config)
        self.log = (directory / "kea.log").open("w+")
        self.process = router.popen(
            "kea-dhcp4", "-c", str(self.path), env=self.environment, stdout=self.log, stderr=self.log
        )
        wait_for(lambda: "DHCP4_STARTED" in self.said(), 15, self.said)

    def connect(self, device: str, address: str, client: Namespace) -> int:
        """Make a link to a client; its ifindex."""
        self.router.sh(
            f"ip link add {device} type veth peer name eth0 netns {client.name}; ip link set {device} up\n"
            f"ip addr add {address}/24 dev {device}"
        )
        client.sh("ip link set eth0 up")
        return int(self.router.sh(f"cat /sys/class/net/{device}/ifindex"))

    def reload(self, config: KeaDhcp4Config) -> None:
        """Write the configuration and have Kea read it."""
        before = self.said().count("DHCP4_DYNAMIC_RECONFIGURATION_SUCCESS")
        self.write(config)
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.said().count("DHCP4_DYNAMIC_RECONFIGURATION_SUCCESS") > before, 10, self.said)

    def said(self) -> str:
        """Its log."""
        return Path(self.log.name).read_text()

    def write(self, config: KeaDhcp4Config) -> None:
        """Write the configuration; Kea's own check must find no fault with it."""
        file = render_kea_dhcp4(config)
        self.path.write_text(file.text)
        assert file.check is not None
        command = [part.format(path=self.path) for part in file.check]
        done = self.router.call(
            lambda: subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)
        self.log.close()
