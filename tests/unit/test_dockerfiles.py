"""What can be said of the images unbuilt: both are made alike, for every architecture, of pinned things."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.engine import images
from tests.engine.engine import Engine

ROLES = ("ingress", "firewall")


def stages(role: str) -> dict[str, str]:
    """Name → text of each stage."""
    text = (images.ROOT / f"Dockerfile.{role}").read_text()
    parts = re.split(r"^(?=FROM )", re.sub(r"^# .*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
    return {part.split("\n", 1)[0].rpartition(" AS ")[2]: part for part in parts if part.startswith("FROM ")}


def test_both_images_share_what_they_have_in_common() -> None:
    ingress, firewall = map(stages, ROLES)
    for name in ("dinit", "python", "build"):
        assert ingress[name] == firewall[name]


@pytest.mark.parametrize("role", ROLES)
def test_nothing_names_an_architecture(role: str) -> None:
    found = stages(role)
    assert not re.search(r"amd64|x86|arm64|aarch64", "".join(found.values()))
    # musl's loader and its list of directories bear the architecture's name: both follow the file that is there.
    assert "/lib/ld-musl-*.so.1" in found["dinit"]
    assert '"/dinit/etc/$name.path"' in found["dinit"]


@pytest.mark.parametrize("role", ROLES)
def test_what_is_installed_is_pinned(role: str) -> None:
    for name, text in stages(role).items():
        assert re.match(r"FROM (\S+:\S+|python) AS ", text), name
    packages = re.findall(r"install -qy --no-install-recommends (.*?)(?=\n &&|$)", stages(role)[role], re.DOTALL)
    for package in packages[0].replace("\\", "").split():
        assert "=" in package or package == "ca-certificates", package


def test_an_engine_without_a_registry_needs_a_dinit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINIT_DIR", str(tmp_path))
    assert "DINIT_DIR" in str(images.missing(Engine({}, private=True)))
    assert images.missing(Engine({}, private=False)) is None
    program = tmp_path / "dinit/usr/sbin/dinit"
    program.parent.mkdir(parents=True)
    program.touch()
    assert images.missing(Engine({}, private=True)) is None
