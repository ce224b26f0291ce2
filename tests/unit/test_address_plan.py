"""`routerctl plan`: offline, in 80 columns, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli import main

COMPOSE = Path(__file__).parents[2] / "compose"
HOSTER = COMPOSE / "router-hoster.yaml"


def test_the_table_of_the_hoster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(HOSTER)]) == 0
    text = capsys.readouterr().out
    assert "vms: 4094 docker hosts fit in 2001:db8:77:1::/64, index 0x2 to 0xfff" in text
    assert "… is 2001:db8:77:1:" in text
    assert "vmx          0x3e8  …3e80::1/76  …3e80::2  …3e81::/80  02:00:00:00:03:e8" in text
    assert "web   vm1  -     2001:db8:77:1:21::80" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", ["router-home.yaml", "router-dual.yaml"])
def test_without_docker_hosts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(COMPOSE / name)]) == 0
    text = capsys.readouterr().out
    assert "docker host" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--json", str(HOSTER)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["docker_hosts"]["vm1"] == {
        "network": "vms",
        "index": 2,
        "mac": "02:00:00:00:00:02",
        "prefix": "2001:db8:77:1:20::/76",
        "gateway": "2001:db8:77:1:20::1/76",
        "address": "2001:db8:77:1:20::2",
        "containers": "2001:db8:77:1:21::/80",
    }
    assert found["networks"]["vms"]["docker_hosts"]["last_index"] == 0xFFF
    assert found["uplinks"]["hetzner"]["neighbours"] == "routed"


def test_a_64_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = HOSTER.read_text().replace("2001:db8:77:1::/64", "2001:db8:77::/56").replace("77:1:10::1/76", "77:1::1/64")
    path = tmp_path / "router.yaml"
    path.write_text(text.replace("index: 0x3e8", "index: 0xfe"))
    assert main(["plan", str(path)]) == 0
    text = capsys.readouterr().out
    assert "vms: 254 docker hosts fit in 2001:db8:77::/56, index 0x2 to 0xff" in text
    assert "0xfe" in text
    assert "…fe::1/64" in text


def test_a_bad_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "router.yaml"
    path.write_text(HOSTER.read_text().replace("index: 0x003", "index: 0x002"))
    assert main(["plan", str(path)]) == 1
    assert "`vm2` and `vm1` have one index, 0x2" in capsys.readouterr().err
