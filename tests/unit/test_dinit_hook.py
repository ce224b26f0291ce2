"""dhcpcd's hook keeps the last lease of each interface and family, whole or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.services_of import ROOT
from tests.lab.wait import wait_for

HOOK = ROOT / "ingress" / "dhcpcd-hook"
LEASE4 = {
    "new_ip_address": "192.0.2.9",
    "new_domain_name_servers": "192.0.2.1 192.0.2.2",
    "old_ip_address": "192.0.2.8",
}
LEASE6 = {"new_dhcp6_ia_pd1_prefix1": "2001:db8:a100::", "new_dhcp6_ia_pd1_prefix1_length": "48"}


class Hook:
    """Runs the hook as dhcpcd does, with a `routerctl` that counts how often it is called."""

    def __init__(self, directory: Path) -> None:
        self.leases = directory / "run" / "leases"
        self._pokes = directory / "pokes"
        self._directory = directory
        binary = directory / "routerctl"
        binary.write_text(f'#!/bin/sh\necho "$*" >>{self._pokes}\n')
        binary.chmod(0o755)

    def run(self, reason: str, variables: dict[str, str] | None = None, interface: str = "wan") -> None:
        environment = {"PATH": f"{self._directory}:/usr/bin:/bin", "ROUTER_RUN_DIR": str(self._directory / "run")}
        environment |= {"reason": reason, "interface": interface, **(variables or {})}
        result = subprocess.run([str(HOOK)], env=environment, capture_output=True, check=True, timeout=5)
        assert result.stdout + result.stderr == b""

    def lease(self, name: str) -> dict[str, str] | None:
        path = self.leases / name
        return dict(line.split("=", 1) for line in path.read_text().splitlines()) if path.exists() else None


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    return Hook(tmp_path)


@pytest.mark.parametrize("reason", ["BOUND", "RENEW", "REBIND", "REBOOT"])
def test_a_lease_is_kept_with_its_moment(hook: Hook, reason: str) -> None:
    before = float(Path("/proc/uptime").read_text().split()[0])
    hook.run(reason, LEASE4)
    lease = hook.lease("wan.4")
    assert lease is not None
    assert before <= float(lease.pop("uptime")) < before + 5
    assert lease == {"reason": reason, **{k: v for k, v in LEASE4.items() if k.startswith("new_")}}
    assert (hook.leases / "wan.4").read_text().startswith("uptime=")
    assert (hook.leases / "wan.4").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("reason", ["BOUND6", "RENEW6", "REBIND6", "REBOOT6"])
def test_each_family_has_its_own_file(hook: Hook, reason: str) -> None:
    hook.run("BOUND", LEASE4)
    hook.run(reason, LEASE6)
    assert hook.lease("wan.4") is not None
    assert (hook.lease("wan.6") or {})["new_dhcp6_ia_pd1_prefix1_length"] == "48"


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        ("EXPIRE", {"wan.6", "dmz.4"}),
        ("RELEASE", {"wan.6", "dmz.4"}),
        ("EXPIRE6", {"wan.4", "dmz.4"}),
        ("RELEASE6", {"wan.4", "dmz.4"}),
        ("STOP6", {"wan.4", "dmz.4"}),
        ("NOCARRIER", {"dmz.4"}),
        ("STOPPED", {"dmz.4"}),
        ("ROUTERADVERT", {"wan.4", "wan.6", "dmz.4"}),
        ("PREINIT", {"wan.4", "wan.6", "dmz.4"}),
    ],
)
def test_a_lease_that_ends_is_removed_and_no_other(hook: Hook, reason: str, left: set[str]) -> None:
    hook.run("BOUND", LEASE4)
    hook.run("BOUND6", LEASE6)
    hook.run("BOUND", LEASE4, interface="dmz")
    hook.run(reason)
    assert {path.name for path in hook.leases.iterdir()} == left


def test_the_agent_is_poked_for_leases_only(hook: Hook) -> None:
    hook.run("PREINIT")
    hook.run("BOUND", LEASE4)
    wait_for(lambda: hook._pokes.exists() and hook._pokes.read_text() == "poke\n", 5, "one poke, beside the hook")
