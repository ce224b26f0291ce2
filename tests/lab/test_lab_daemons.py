"""The real daemons run from dinit.d's service files: with the paths, users and signals that those files promise."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import Services
from tests.lab.topology import KPN_NEXT_PREFIX, KPN_PREFIX
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
ETC = "/run/router/etc"
RADVD = "interface home { AdvSendAdvert on; MaxRtrAdvInterval 4; MinRtrAdvInterval 3; prefix fd00:1::/64 { }; };\n"
KEA = {
    "interfaces-config": {"interfaces": ["home"]},
    "lease-database": {"type": "memfile", "persist": True, "name": "/var/lib/router/kea/kea-leases4.csv"},
    "valid-lifetime": 600,
    "subnet4": [{"id": 1, "subnet": "10.10.0.0/24", "pools": [{"pool": "10.10.0.100-10.10.0.109"}]}],
}
MOSQUITTO = (
    "listener 1883 10.98.0.1\nallow_anonymous true\npersistence true\npersistence_location /var/lib/router/mosquitto/\n"
    "autosave_interval 1\nautosave_on_changes true\n"
)
DHCPCD = """nodev
persistent
duid
noarp
noipv6rs
allowinterfaces wan
script /usr/lib/router/dhcpcd-hook
option domain_name_servers
option dhcp6_name_servers
interface wan
  ipv6rs
  ia_na 1
  ia_pd 2/::/48 -
"""


def _services(node: Node, name: str, **texts: str) -> Services:
    """A service with its configuration in place, as the agent would have written it."""
    for path, text in texts.items():
        place = node.path(f"{ETC}/{path.replace('__', '/').replace('_', '.')}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    services = Services(node, target=name)
    services.start()
    return services


@pytest.fixture
def firewall() -> Iterator[Lab]:
    with Lab(nodes=["firewall", "laptop", "kpn"]) as lab:
        lab.nodes["firewall"].ip("addr add 10.10.0.1/24 dev home", "addr add fd00:1::1/64 dev home nodad")
        lab.nodes["firewall"].sysctl("net.ipv6.conf.all.forwarding", "1")
        yield lab


def test_radvd_advertises_reloads_and_takes_leave(firewall: Lab) -> None:
    laptop = firewall.nodes["laptop"]
    services = _services(firewall.nodes["firewall"], "radvd", radvd_conf=RADVD)
    wait_for(lambda: laptop.addresses("eth0", 6), 10, services.log)
    pid = services.pid("radvd")
    firewall.nodes["firewall"].path(f"{ETC}/radvd.conf").write_text(RADVD.replace("fd00:1::", "fd00:2::"))
    services.dinitctl("signal", "HUP", "radvd")
    wait_for(lambda: any(a.startswith("fd00:2::") for a in laptop.addresses("eth0", 6)), 10, services.log)
    assert services.pid("radvd") == pid
    assert "default" in laptop.output(["ip", "-6", "route"])
    services.stop()
    wait_for(lambda: "default" not in laptop.output(["ip", "-6", "route"]), 5, "the last advertisement, lifetime 0")


def test_kea_leases_keeps_leases_and_reloads(firewall: Lab) -> None:
    node, laptop = firewall.nodes["firewall"], firewall.nodes["laptop"]
    services = _services(node, "kea-dhcp4", **{"kea-dhcp4_conf": json.dumps({"Dhcp4": KEA})})
    firewall.start_clients("laptop")
    wait_for(lambda: laptop.addresses("eth0", 4) == ["10.10.0.100"], 10, services.log)
    assert "10.10.0.100" in node.path("/var/lib/router/kea/kea-leases4.csv").read_text()
    pid = services.pid("kea-dhcp4")
    node.path(f"{ETC}/kea-dhcp4.conf").write_text('{ "Dhcp4": nonsense }')
    services.dinitctl("signal", "HUP", "kea-dhcp4")
    wait_for(lambda: "DHCP4_DYNAMIC_RECONFIGURATION_FAIL" in services.log(), 5)
    assert services.pid("kea-dhcp4") == pid
    services.kill("kea-dhcp4")
    node.path(f"{ETC}/kea-dhcp4.conf").write_text(json.dumps({"Dhcp4": KEA}))
    wait_for(lambda: services.log().count("DHCP4_STARTED") == 2, 10, "kea to be started again after a crash")


def test_the_broker_serves_the_backstage_and_remembers_over_a_restart(firewall: Lab) -> None:
    services = _services(firewall.nodes["firewall"], "mosquitto", mosquitto__mosquitto_conf=MOSQUITTO)
    kpn = firewall.nodes["kpn"]
    publish = ["mosquitto_pub", "-h", "10.98.0.1", "-V", "5", "-q", "1", "-r", "-t", "a/b", "-m", "kept"]
    wait_for(lambda: kpn.run(publish, check=False).returncode == 0, 5, services.log)
    services.dinitctl("restart", "mosquitto")
    subscribe = ["mosquitto_sub", "-h", "10.98.0.1", "-V", "5", "-t", "a/b", "-C", "1", "-W", "2"]
    wait_for(lambda: kpn.run(subscribe, check=False).stdout == "kept\n", 10, services.log)
    owner = firewall.nodes["firewall"].output(["stat", "-c", "%U %a", "/var/lib/router/mosquitto"])
    assert owner == "mosquitto 700\n"


def test_dhcpcd_writes_its_leases_by_the_hook_and_keeps_its_identity() -> None:
    with Lab(nodes=["kpn", "kpn-isp"]) as lab:
        lab.start_isps()
        node = lab.nodes["kpn"]
        services = _services(node, "dhcpcd", dhcpcd_conf=DHCPCD)

        def lease(family: int) -> dict[str, str]:
            path = node.path(f"/run/router/leases/wan.{family}")
            text = path.read_text() if path.exists() else ""
            return dict(line.split("=", 1) for line in text.splitlines())

        wait_for(lambda: lease(6) and lease(4), 15, lambda: f"both leases: {services.log()}")
        assert lease(4)["new_domain_name_servers"] == "203.0.113.7"
        assert lease(6)["new_dhcp6_name_servers"] == "2001:db8:f::7"
        assert lease(6)["new_dhcp6_ia_pd1_prefix1"] + "/48" == KPN_PREFIX
        assert lease(6)["new_dhcp6_ia_pd1_prefix1_length"] == "48"
        assert lease(6)["new_dhcp6_ia_pd1_prefix1_pltime"] == "600"
        assert lease(6)["new_dhcp6_ia_pd1_prefix1_vltime"] == "1200"
        duid = node.path("/var/lib/router/dhcpcd/duid").read_text()
        lab.isp["kpn"].delegate(KPN_NEXT_PREFIX)
        fresh = KPN_NEXT_PREFIX.removesuffix("/48")
        wait_for(lambda: fresh in lease(6).values(), 10, lambda: f"the next prefix: {lease(6)} {services.log()}")
        services.dinitctl("restart", "dhcpcd")
        wait_for(lambda: fresh in lease(6).values(), 10, lambda: f"the prefix after a restart: {services.log()}")
        assert node.path("/var/lib/router/dhcpcd/duid").read_text() == duid
        lab.isp["kpn"].link_down()
        wait_for(lambda: not lease(6) and not lease(4), 10, lambda: f"no lease without carrier: {services.log()}")
