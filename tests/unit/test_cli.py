"""routerctl where no agent runs: check, render, schema, and what it says when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli import main

HOME = Path(__file__).resolve().parents[2] / "compose" / "router-home.yaml"
HOSTER = HOME.with_name("router-hoster.yaml")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ROUTER_NODE", "ROUTER_CONFIG", "ROUTER_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROUTER_RUN_DIR", str(tmp_path / "run"))


@pytest.mark.parametrize("config", [HOME, HOSTER])
def test_the_examples_are_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(config)]) == 0
    assert "configuration OK" in capsys.readouterr().out


def test_an_error_names_file_line_key_and_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "router.yaml"
    broken.write_text(HOME.read_text().replace("to: iot, action", "to: attic, action"))
    assert main(["check", str(broken)]) == 1
    out = capsys.readouterr().out
    line = broken.read_text().splitlines().index(next(t for t in broken.read_text().splitlines() if "attic" in t)) + 1
    assert f"{line}" in out
    assert "attic" in out
    assert "rules[1].to" in out


@pytest.mark.parametrize(
    ("config", "node", "files"),
    [
        (HOME, "kpn", {"router.nft", "dhcpcd.conf", "ppp/peers/wan"}),
        (HOME, "odido", {"router.nft", "dhcpcd.conf"}),
        (HOME, "vpn", {"router.nft", "wireguard/wan.conf"}),
        (HOME, "firewall", {"router.nft", "radvd.conf", "kea-dhcp4.conf", "mosquitto/mosquitto.conf", "mosquitto/acl"}),
        (HOSTER, "hetzner", {"router.nft", "dhcpcd.conf"}),
        (HOSTER, "firewall", {"router.nft", "kea-dhcp4.conf"}),
    ],
)
def test_render_writes_every_file_of_a_node(config: Path, node: str, files: set[str], tmp_path: Path) -> None:
    assert main(["render", str(config), "--node", node, str(tmp_path / "out")]) == 0
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files <= written


def test_render_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        main(["render", str(HOME), "--node", "firewall", str(tmp_path / name)])
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert path.read_text() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_text()


def test_an_unknown_node_is_answered_with_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(HOME), "--node", "xs4all", str(tmp_path)]) == 1
    assert "use one of: firewall, kpn, odido, vpn" in capsys.readouterr().err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize("command", ["status", "poke", "reload", "health"])
def test_without_an_agent_the_next_step_is_said(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 1
    error = capsys.readouterr().err
    assert "no agent here" in error
    assert "dinitctl list" in error


def test_a_missing_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(tmp_path / "nothing.yaml"), "--node", "kpn", str(tmp_path)]) == 1
    assert "nothing.yaml" in capsys.readouterr().err
