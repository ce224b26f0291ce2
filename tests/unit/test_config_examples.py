"""The example files and one like the lab's: they load, and mean what their comments say."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.config import PppoeUplink, StaticUplink, WireguardUplink, check, load
from agent.config.document import parse
from agent.config.scheme import keys_of, models_at
from agent.config.settings import Settings

ROOT = Path(__file__).parents[2]
HOME = ROOT / "compose/router-home.yaml"
HOSTER = ROOT / "compose/router-hoster.yaml"
LAB = Path(__file__).parent / "config/lab.yaml"


@pytest.mark.parametrize("path", [HOME, HOSTER, LAB], ids=lambda path: path.stem)
def test_they_load_without_a_warning(path: Path) -> None:
    found = check(path, {})
    assert found.ok, found.render_text()
    assert not found.warnings, found.render_text()


def test_home() -> None:
    found = load(HOME, {})
    assert found.nodes == ("firewall", "kpn", "odido", "vpn")
    assert str(found.networks["home"].ipv4) == "10.10.0.1/24"
    assert str(found.network_prefix("home")) == "fd4b:9ca2:1d70:10::/64"
    assert found.networks_by_priority() == ("home", "guest", "iot", "management")
    assert found.uplinks_of("guest") == ("odido", "kpn")
    assert found.uplinks_of("iot") == ("kpn", "odido", "vpn")
    kpn, vpn = found.uplinks["kpn"], found.uplinks["vpn"]
    assert isinstance(kpn, PppoeUplink)
    assert kpn.probe is not None
    assert (kpn.vlan, kpn.mtu, kpn.probe.interval, kpn.probe.fail_after) == (6, 1492, 0.3, 3)
    assert (found.delegation_hint("kpn"), found.delegation_hint("odido")) == (48, None)
    assert isinstance(vpn, WireguardUplink)
    assert str(vpn.peer.endpoint) == "198.51.100.7:51820"
    assert found.forwards["game"].mapped == (("udp", 27000, 27050, 27000, 27050),)
    assert str(found.host_address6("nas")) == "fd4b:9ca2:1d70:10::5"
    assert found.rules[5].families == (6,)
    assert found.rules[5].log


def test_hoster() -> None:
    found = load(HOSTER, {})
    hetzner = found.uplinks["hetzner"]
    assert isinstance(hetzner, StaticUplink)
    assert hetzner.ipv6 is not None
    assert hetzner.ipv6.prefix == found.site.prefix
    assert str(found.docker_gateway("vmx")) == "2001:db8:77:1:3e80::1/76"
    assert str(found.docker_containers("vm1")) == "2001:db8:77:1:21::/80"
    assert str(found.host_address6("web")) == "2001:db8:77:1:21::80"
    assert found.docker_hosts["vm1"].may_expose.ports == (("tcp", 80, 80), ("tcp", 443, 443), ("udp", 443, 443))
    assert found.network_prefix("vms") is None
    assert str(found.networks["lan"].ipv4) == "10.10.10.2/24"


def test_every_line_of_the_examples_is_a_key_of_the_models() -> None:
    for path in (HOME, HOSTER):
        for key in parse("f", path.read_text()).keys:
            models = models_at(Settings, key[:-1])
            assert not models or any(str(key[-1]) in keys_of(model) for model in models), key


def test_loading_is_quick() -> None:
    """Processor time, imports included; generous, since an agent must be ready within 1.5 s of which this is a part."""
    code = (
        "import time; from pathlib import Path; from agent.config import load; "
        f"load(Path({str(HOME)!r}), {{}}); print(time.process_time())"
    )
    runs = [float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(3)]
    assert min(runs) < 0.5
    started = time.process_time()
    load(HOME, {})
    assert time.process_time() - started < 0.1
