"""The golden files of the firewall are taken by the kernel and by the daemons they are for."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.golden.firewall_cases import cases
from tests.lab.netns import netns

pytestmark = pytest.mark.lab

GOLDEN = Path(__file__).parents[1] / "golden" / "firewall"
CASES = sorted(path.name for path in GOLDEN.iterdir())
# Kea 2.2 finds a hook by its name alone with the help of the loader.
HOOKS = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, Path("/usr/lib").glob("*/kea/hooks")))}
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
def test_kea_takes_its_configuration(case: str, tmp_path: Path) -> None:
    with netns() as space:
        # Kea refuses the name of an interface that does not exist.
        for name in cases()[case].settings.networks:
            space.sh(f"ip link add {name} type veth peer name p-{name}")
        for path in sorted((GOLDEN / case).glob("kea-dhcp[46].conf")):
            own = tmp_path / path.name
            own.write_text(path.read_text().replace("/var/lib/router/kea", str(tmp_path)))
            command = ["env", f"KEA_DHCP_DATA_DIR={tmp_path}", path.stem, "-t", str(own)]
            run = partial(subprocess.run, command, env=HOOKS, capture_output=True, text=True, check=False)
            done = space.call(run)
            assert done.returncode == 0, done.stdout + done.stderr
