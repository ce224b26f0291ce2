"""The golden files of the firewall are taken by the kernel and by the daemons they are for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.golden.firewall_cases import cases
from tests.lab.netns import netns

pytestmark = pytest.mark.lab

GOLDEN = Path(__file__).parents[1] / "golden" / "firewall"
CASES = sorted(path.name for path in GOLDEN.iterdir())
ADVERTISED = [case for case in CASES if (GOLDEN / case / "radvd.conf").exists()]


@pytest.mark.parametrize("case", CASES)
def test_the_kernel_takes_the_rules(case: str) -> None:
    with netns() as space:
        file = GOLDEN / case / "router.nft"
        space.sh(f"nft -c -f {file}; nft -f {file}")
        first = space.sh("nft -s list ruleset")
        space.sh(f"nft -f {file}")
        assert space.sh("nft -s list ruleset") == first
        assert "policy drop" in first


@pytest.mark.parametrize("case", ADVERTISED)
def test_radvd_takes_its_configuration(case: str) -> None:
    path = GOLDEN / case / "radvd.conf"
    done = subprocess.run(["radvd", "--configtest", "-C", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", CASES)
def test_kea_takes_its_configuration(case: str) -> None:
    with netns() as space:
        # Kea refuses the name of an interface that does not exist.
        for name in cases()[case].settings.networks:
            space.sh(f"ip link add {name} type veth peer name p-{name}")
        command = ["kea-dhcp4", "-t", str(GOLDEN / case / "kea-dhcp4.conf")]
        done = space.call(lambda: subprocess.run(command, capture_output=True, text=True, check=False))
        assert done.returncode == 0, done.stdout + done.stderr
