"""`routerctl init`: a directory that checks, and that a second run leaves alone."""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from agent import project
from agent.cli import main
from agent.config import load

ULA = IPv6Network("fd00::/8")


def tree(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_directory_has_a_configuration_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "router")]) == 0
    assert "name your NICs" in capsys.readouterr().out
    settings = load(tmp_path / "router/router-home.yaml", {})
    assert settings.site.prefix.subnet_of(ULA)
    assert settings.site.prefix != IPv6Network("fd4b:9ca2:1d70::/48")
    text = (tmp_path / "router/router-home.yaml").read_text()
    assert "fd4b:9ca2" not in text, "comments name the prefix too"
    line = text.splitlines()[0]
    assert line == "# yaml-language-server: $schema=router.schema.json"
    assert "properties" in json.loads((tmp_path / "router/router.schema.json").read_text())


def test_prefixes_differ() -> None:
    found = {project.unique_local_prefix() for _ in range(50)}
    assert len(found) == 50
    assert all(prefix.subnet_of(ULA) and prefix.prefixlen == 48 for prefix in found)


def test_secrets_are_there_for_every_service_and_for_nobody_else(tmp_path: Path) -> None:
    list(project.make_project(tmp_path))
    secrets = tmp_path / "secrets"
    assert secrets.stat().st_mode & 0o077 == 0
    named = [line.split("file: ")[1].rstrip(" }\n") for line in (tmp_path / "home.yaml").read_text().splitlines()
             if "file: secrets/" in line]  # fmt: skip
    assert len(named) == 5
    for name in named:
        path = tmp_path / name
        assert path.stat().st_mode & 0o077 == 0, name
        assert path.read_text().strip()


def test_certificate_is_signed_for_the_broker(tmp_path: Path) -> None:
    list(project.make_project(tmp_path))
    # Strict, as Python 3.13 is.
    verify = ("openssl", "verify", "-x509_strict", "-verify_ip", "10.98.0.1", "-CAfile", "bus_ca.pem", "bus_cert.pem")
    done = subprocess.run(verify, cwd=tmp_path / "secrets/tls", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    list(project.make_project(tmp_path))
    (tmp_path / "home.yaml").write_text("mine")
    before = tree(tmp_path)
    made = [line for line in project.make_project(tmp_path) if line.startswith("made")]
    assert made == []
    assert tree(tmp_path) == before


def test_without_templates_it_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "PLACES", (tmp_path / "nowhere",))
    with pytest.raises(project.ProjectError, match="in the image or in a checkout"):
        list(project.make_project(tmp_path / "router"))


def test_without_openssl_the_rest_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.project.shutil.which", lambda _: None)
    lines = list(project.make_project(tmp_path))
    assert any("openssl" in line for line in lines)
    assert (tmp_path / "secrets/bus_users").exists()
    assert not (tmp_path / "secrets/tls").exists()
