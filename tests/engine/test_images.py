"""What is in the images, and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.rules import mixed, script
from tests.engine.engine import Engine
from tests.engine.images import ROLES, ROOT, size
from tests.lab.services_of import helper_files, service_files

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

LIMITS = {"ingress": 250.0, "firewall": 350.0}  # MB
PROGRAMS = {
    "ingress": "router-agent routerctl pppd dhcpcd wg nft conntrack ip tcpdump ping dinitctl",
    "firewall": "router-agent routerctl kea-dhcp4 kea-dhcp6 kea-dhcp-ddns radvd named mosquitto ulogd nft conntrack",
}


def shell(engine: Engine, role: str, script: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", "--entrypoint", "sh", f"router-{role}", "-c", script)


@pytest.mark.parametrize("role", ROLES)
def test_image_is_small(built: Engine, role: str) -> None:
    assert 100 < size(built, f"router-{role}") <= LIMITS[role]


@pytest.mark.parametrize("role", ROLES)
def test_image_says_what_it_is(built: Engine, role: str) -> None:
    config = json.loads(built.docker("image", "inspect", f"router-{role}"))[0]["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"router-{role}"
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["org.opencontainers.image.revision"] not in {"", "unknown"}
    assert config["Healthcheck"]["Test"] == ["CMD", "routerctl", "health"]
    assert config["Entrypoint"] == ["/usr/sbin/dinit", "--container"]


@pytest.mark.parametrize("role", ROLES)
def test_image_has_its_programs(built: Engine, role: str) -> None:
    missing = f"for p in {PROGRAMS[role]}; do command -v $p >/dev/null || echo $p; done"
    assert shell(built, role, missing).split() == []


@pytest.mark.parametrize("role", ROLES)
def test_image_holds_no_compiler_and_no_cache(built: Engine, role: str) -> None:
    programs = "for p in gcc cc g++ c++ make as ld pip pip3; do command -v $p; done; ls /opt/router/bin | grep pip"
    assert shell(built, role, programs + " || true").split() == []
    caches = "find /var/cache/apt /var/lib/apt/lists /var/cache/debconf/*-old /root /tmp -type f -size +0 ! -name '.*'"
    assert shell(built, role, caches + " 2>/dev/null || true").split() == []


@pytest.mark.parametrize("role", ROLES)
def test_service_files_pass_dinit_check(built: Engine, role: str) -> None:
    names = sorted(service_files(role))
    inside = shell(built, role, "ls /etc/dinit.d").split()
    assert inside == names
    assert set(shell(built, role, "ls /usr/lib/router").split()) == set(helper_files(role))
    report = shell(built, role, f"dinit-check -d /etc/dinit.d {' '.join(names)} 2>&1; true")
    # Programs are found on PATH: the same files serve the lab, where they stand elsewhere.
    notes = [x for x in report.splitlines() if ("warning" in x or "error" in x.lower()) and "absolute path" not in x]
    assert [note for note in notes if "One or more errors/warnings issued" not in note] == []


@pytest.mark.parametrize("role", ROLES)
def test_agent_loads_the_reference_configuration(built: Engine, role: str) -> None:
    mount = f"{ROOT}/compose/router-home.yaml:/etc/router/router.yaml:ro"
    argv = ("run", "--rm", "--network", "none", "-v", mount, "--entrypoint", "routerctl", f"router-{role}", "check")
    assert "error" not in built.docker(*argv).lower()


@pytest.mark.parametrize("role", ROLES)
def test_its_nft_takes_the_rulesets(built: Engine, role: str, tmp_path: Path) -> None:
    """Those of the golden files, and many mixed rules: they are written for the nft of the host as well."""
    many = tmp_path / "many"
    many.mkdir()
    (many / "router.nft").write_text(script(500, mixed))
    directories = [*(ROOT / "tests/golden" / role).iterdir(), *([many] if role == "firewall" else [])]
    mounts = [word for found in directories for word in ("-v", f"{found}:/golden/{found.name}:ro")]
    devices = "ip link add wan type veth peer name dmz; " if role == "ingress" else ""
    load = "for f in /golden/*/router.nft; do nft -f $f || echo refused: $f; done"
    argv = ("run", "--rm", "--network", "none", "--cap-add", "NET_ADMIN", *mounts, "--entrypoint", "sh")
    assert built.docker(*argv, f"router-{role}", "-c", f"exec 2>&1; {devices}{load}").strip() == ""
