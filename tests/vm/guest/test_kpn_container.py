"""The ingress's container ends, and another one takes its place with the volume of the first."""

from __future__ import annotations

import re
import time

import pytest

from tests.lab.wait import wait_for
from tests.vm.network import PATIENCE, Network
from tests.vm.topology import PREFIX

STOP_SECONDS = 10  # what an engine grants by default


def _identities(text: str) -> tuple[set[str], set[str]]:
    """DUIDs and IAIDs of the client, in tcpdump's words, from a capture of the line."""
    return set(re.findall(r"\(client-ID ([^)]*)\)", text)), set(re.findall(r"\(IA_PD IAID:(\d+)", text))


def _stop(story: Network) -> float:
    """Stop all services; how long that took, in seconds."""
    started = time.monotonic()
    story.services["kpn"].stop(60)
    return time.monotonic() - started


def _recreate(story: Network) -> None:
    """What a new container has left of the old one: its NICs as the engine makes them, and the volume."""
    kpn = story.nodes["kpn"]
    kpn.run(["nft", "flush", "ruleset"])
    for link in ("wan-ether", "dmz"):
        kpn.ip(f"link del {link}")
    kpn.run(["rm", "-rf", "/run/router", "/run/dhcpcd", "/run/pppd"])
    story.services["kpn"].launch()
    story.services["kpn"].wait_started(PATIENCE)


@pytest.mark.rfc("2516", "PADT")
@pytest.mark.rfc("9096", "WPD-9/10")
def test_container_stopped_says_good_bye_and_releases_nothing(story: Network) -> None:
    before = story.wire.text("-v")
    old = story.session()
    seconds = _stop(story)
    assert seconds < STOP_SECONDS
    wait_for(lambda: story.wire.count("PADT") > before.count("PADT"), 5, "a PADT")
    after = story.wire.text("-v")
    assert after.count("Term-Request") > before.count("Term-Request")
    assert "dhcp6 release" not in after
    assert story.session() is None
    _recreate(story)
    story.wait_session(other_than=old)
    story.wait_reached("laptop", {4: "192.0.2.96/28", 6: PREFIX})


@pytest.mark.rfc("7084", "W-5")
@pytest.mark.rfc("9096", "WPD-9/10")
def test_container_keeps_duid_and_iaid(story: Network) -> None:
    duids, iaids = _identities(story.wire.text("-v"))
    assert len(duids) == 1, duids
    assert iaids == {"2"}
