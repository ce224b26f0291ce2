"""The golden rules of the ingress are taken by the kernel, again and again; dhcpcd takes its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.netns import netns

pytestmark = pytest.mark.lab

GOLDEN = Path(__file__).parents[1] / "golden" / "ingress"
CASES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_the_kernel_takes_the_rules(case: str) -> None:
    with netns() as space:
        file = GOLDEN / case / "router.nft"
        space.sh("ip link add wan type veth peer name dmz; ip link set wan up; ip link set dmz up")
        space.sh(f"nft -c -f {file}; nft -f {file}")
        first = space.sh("nft -s list ruleset")
        space.sh(f"nft -f {file}")
        assert space.sh("nft -s list ruleset") == first
        assert "policy drop" in first


@pytest.mark.parametrize("case", CASES)
def test_dhcpcd_takes_its_file(case: str) -> None:
    """With a device that is there but down it reads the whole file, complains of what it does not know, and leaves."""
    with netns() as space:
        space.sh("ip link add wan type veth peer name dmz")
        said = space.sh(f"timeout 5 dhcpcd -f {GOLDEN / case / 'dhcpcd.conf'} -T -t 1 dmz 2>&1 || true")
        assert "unknown option" not in said
        assert "invalid" not in said
