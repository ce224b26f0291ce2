"""home.yaml as `routerctl init` writes it in the image: a real router on three NICs, in the place of the demo's.

The NICs are veth pairs: the machine has none whose other end this test could hold. To the engine, to macvlan and to the
bridge they are Ethernet devices like any other; a NIC's own offloads and driver are not proven. The other ends are on
the demo's bridges, so ISPs, internet and client are the demo's. Commands are those of docs/operations.md, as written.
The configuration is the reference but for the prefix that `init` draws; the demo runs the reference itself.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.engine import Engine
from tests.engine.images import ROOT
from tests.lab.wait import wait_for
from tests.vm.guest.containers.demo import DUAL, KPN_SOURCES, Demo, Wire, browses

PLACE = Path("/srv/router")
PASSWORD = "demo-internet"  # noqa: S105 - what the emulated ISP asks for
AROUND = ("internet", "isp-kpn", "isp-odido", "client")
ROUTERS = ("ingress-kpn", "ingress-odido", "firewall")
GONE = (*ROUTERS, "ingress-vpn", "phone", "lamp")
# NIC → the demo's network at the other end of its wire.
NICS = {"eno1": "line-kpn", "eno2": "line-odido", "eno3": "trunk"}
KPN_MAC, ODIDO_MAC = "f0:00:00:00:00:03", "f0:00:00:00:00:13"
CLIENT_MAC, CLIENT = "02:00:00:00:10:64", "2001:db8:a100:10:0:ff:fe00:1064"
OF_KPN = f"ether src {KPN_MAC} and vlan 6 and pppoes"
PATIENCE = 240.0


def documented(heading: str) -> list[str]:
    """The commands of a section of docs/operations.md: one text for each block."""
    section = (ROOT / "docs/operations.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def shell(engine: Engine, commands: str, cwd: Path) -> str:
    """Run a block of the documentation; AssertionError carries what it said."""
    argv = ("sh", "-ec", commands)
    done = subprocess.run(
        argv, cwd=cwd, env=engine.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


def ip(*argv: str) -> str:
    """Run `ip ARGV…` in the machine."""
    return subprocess.run(("ip", *argv), capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True)
class Home:
    """The template's project, the demo around it, what crossed the ISPs' wires since, and the commands to look."""

    router: Demo
    demo: Demo
    kpn: Wire
    odido: Wire
    look: str


@pytest.fixture(scope="module")
def around(engine: Engine) -> Demo:
    """The demo's ISPs, internet and client, without its routers: as the stories before left them, or started."""
    demo = Demo(engine, DUAL)
    running = engine.docker("ps", "--format", "{{.Names}}").split()
    if not {demo.container(service) for service in AROUND} <= set(running):
        demo.compose("up", "-d", *AROUND, timeout=PATIENCE)
    engine.docker("rm", "-f", *(demo.container(service) for service in GONE), check=False)
    # home.yaml's has the same addresses.
    engine.docker("network", "rm", f"{demo.name}_backstage", check=False)
    return demo


@pytest.fixture(scope="module")
def home(engine: Engine, around: Demo) -> Iterator[Home]:
    """What docs/operations.md says of a new router, done; the client is started again, as on another network."""
    bridges = {nic: around.bridge(network) for nic, network in NICS.items()}
    for nic, bridge in bridges.items():
        # Down, as a host leaves a NIC that it does not use.
        ip("link", "add", nic, "type", "veth", "peer", "name", f"far-{nic}")
        ip("link", "set", f"far-{nic}", "master", bridge, "up")
    init, host, start, look = documented("A new router")
    shell(engine, init, Path("/"))
    (PLACE / "secrets/kpn_ppp").write_text(f"{PASSWORD}\n")
    shell(engine, host, PLACE)
    # Looks at the health cost an emulated processor too much.
    quiet = PLACE / "quiet.yaml"
    quiet.write_text("services:\n" + "".join(f"  {one}: {{ healthcheck: {{ disable: true }} }}\n" for one in ROUTERS))
    router = Demo(engine, (str(PLACE / "home.yaml"), str(quiet)), name="router")
    with Wire(bridges["eno1"], "home-kpn") as kpn, Wire(bridges["eno2"], "home-odido") as odido:
        shell(engine, start.replace("-f home.yaml", "-f home.yaml -f quiet.yaml"), PLACE)
        engine.docker("restart", "-t", "0", around.container("client"))
        yield Home(router, around, kpn, odido, look)


@pytest.mark.usefixtures("home")
def test_init_wrote_the_reference_with_a_prefix_of_its_own() -> None:
    first, _, text = (PLACE / "router-home.yaml").read_text().partition("\n")
    assert first == "# yaml-language-server: $schema=router.schema.json"
    found = re.search(r"prefix: (fd\S+)::/48", text)
    assert found
    assert found[1] != "fd4b:9ca2:1d70"
    assert text.replace(found[1], "fd4b:9ca2:1d70") == (ROOT / "compose/router-home.yaml").read_text()
    assert (PLACE / "home.yaml").read_text() == (ROOT / "compose/home.yaml").read_text()


def test_client_browses_through_the_nics(home: Home) -> None:
    browses(home.demo, "client", KPN_SOURCES, PATIENCE)
    assert home.demo.seen(home.demo.process("client"), 6) == CLIENT, "1:1: the host's bits are kept"
    home.kpn.wait(f"{OF_KPN} and ip host 203.0.113.7", "192.0.2.1")
    home.kpn.wait(f"{OF_KPN} and ip6 host 2001:db8:f::7", CLIENT)
    assert home.kpn.text("vlan and pppoes and (ip net 10.0.0.0/8 or ip6 net fc00::/7)") == ""


def test_each_uplink_has_its_nic_alone(home: Home) -> None:
    """By macvlan in passthru mode: the container's MAC is the NIC's, and its host has no address there."""
    links = ("ip", "-d", "link", "show", "type", "macvlan")
    for service, mac in (("ingress-kpn", KPN_MAC), ("ingress-odido", ODIDO_MAC)):
        argv = ("nsenter", "-t", home.router.process(service), "-n", *links)
        shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert "mode passthru" in shown
        assert mac in shown
    assert KPN_MAC in ip("link", "show", "eno1")
    assert "inet" not in ip("address", "show", "eno1")
    assert home.kpn.text(f"ether src {KPN_MAC} and not vlan 6") == ""
    home.odido.wait(f"ether src {ODIDO_MAC} and vlan 300 and udp port 67", "BOOTP/DHCP, Request")


def test_router_is_well(home: Home) -> None:
    """`routerctl status` of the firewall, as documented."""
    said = [""]

    def well() -> bool:
        said[0] = shell(home.router.engine, home.look, PLACE)
        odido = re.search(r"odido +agent ready, link up, IPv4 198\.51\.100\.1", said[0])
        return "all work" in said[0] and odido is not None

    wait_for(well, PATIENCE, lambda: said[0])


def test_secrets_are_files_and_nothing_else(home: Home) -> None:
    files = [path for path in (PLACE / "secrets").iterdir() if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    known = home.router.engine.docker("inspect", *(home.router.container(service) for service in ROUTERS))
    assert '"Destination": "/run/secrets/kpn_ppp"' in known
    for path in files:
        for line in path.read_text().splitlines():
            assert line.rpartition(":")[2] not in known, path.name


def test_down_and_up_is_the_same_customer_and_router(home: Home) -> None:
    """Containers and networks are made anew; DUID, leases and what the broker kept are in the volumes."""
    before = ip("-o", "link", "show", "br-trunk").split(":")[0]
    home.router.compose("down", timeout=PATIENCE)
    home.kpn.wait("vlan 6 and pppoed", "PADT")
    assert home.router.engine.docker("ps", "-aq", "--filter", "label=com.docker.compose.project=router") == ""
    assert KPN_MAC not in ip("link", "show", "eno1"), "the NIC has its own MAC back"
    assert ip("-o", "link", "show", "br-trunk").split(":")[0] == before, "the engine leaves the host's bridge alone"
    home.router.compose("up", "-d", "ingress-kpn", "firewall", timeout=PATIENCE)  # the other one has shown its NIC
    assert CLIENT_MAC in home.router.run("firewall", "cat", "/var/lib/router/kea/dhcp4.leases")
    browses(home.demo, "client", KPN_SOURCES, PATIENCE)
    assert home.kpn.text("vlan 6 and pppoed").count("PADS") >= 2
    text = home.kpn.text(f"{OF_KPN} and ip6", "-v")
    sessions = re.findall(r"dhcp6 (?:solicit|request|rebind|confirm)", text)
    assert len(sessions) > 2, text
    assert len(set(re.findall(r"\(client-ID ([^)]*)\)", text))) == 1
    assert set(re.findall(r"\(IA_PD IAID:(\d+)", text)) == {"2"}
    assert "dhcp6 release" not in text
