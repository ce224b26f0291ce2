"""The session's faults: it ends, hangs, is refused, comes back as something else. The router follows by itself."""

from __future__ import annotations

import re
import time

import pytest

from tests.lab.wait import wait_for
from tests.vm.network import Network
from tests.vm.topology import ADDRESS, NEXT_ADDRESS, NEXT_PREFIX, PREFIX

REFUSED_SECONDS = 12


def _guarded(story: Network) -> bool:
    """Whether the egress guard is hooked to the link that is there now."""
    return (
        'device "wan"'
        in story.nodes["kpn"].run(["nft", "list", "chain", "netdev", "router", "guard"], check=False).stdout
    )


def _again(story: Network, old: int | None, sources: dict[int, str]) -> None:
    story.wait_session(other_than=old)
    story.wait_reached("laptop", sources)
    wait_for(lambda: _guarded(story), 10, "the egress guard on the new link")


@pytest.mark.rfc("2516", "a stale session")
def test_session_killed_comes_back_under_a_new_index(story: Network) -> None:
    old = story.session()
    story.nodes["kpn"].run(["pkill", "-KILL", "-x", "pppd"])
    # The ISP keeps the stale session until its echoes fail, and gives the new one the next address.
    _again(story, old, {4: "192.0.2.96/28", 6: PREFIX})
    assert story.session() != old


def test_session_ended_by_the_isp_renumbers_on_reconnect(story: Network) -> None:
    laptop = story.nodes["laptop"]
    inside = laptop.addresses("lan", 4), laptop.addresses("lan", 6)
    old = story.session()
    provider = story.provider
    provider.crash()
    provider.prefix, provider.address = NEXT_PREFIX, NEXT_ADDRESS
    provider.start()
    _again(story, old, {4: NEXT_ADDRESS, 6: NEXT_PREFIX})
    assert inside == (laptop.addresses("lan", 4), laptop.addresses("lan", 6))
    assert PREFIX not in story.nodes["kpn"].output(["nft", "list", "ruleset"])
    old = story.session()
    provider.stop()
    provider.prefix, provider.address = PREFIX, ADDRESS
    provider.start()
    provider.hang_up()
    _again(story, old, {4: ADDRESS, 6: PREFIX})


@pytest.mark.rfc("7084", "WLL-2/3")
@pytest.mark.rfc("1332", "alone")
def test_session_without_ipv6cp_still_serves_ipv4(story: Network) -> None:
    old = story.session()
    story.provider.ipv6cp = False
    story.provider.write()
    story.provider.hang_up()
    _again(story, old, {4: "192.0.2.96/28"})
    assert story.reach("laptop", 6) is None
    assert "kpn" not in _ipv6_choice(story)
    old = story.session()
    story.provider.ipv6cp = True
    story.provider.write()
    story.provider.hang_up()
    _again(story, old, {4: "192.0.2.96/28", 6: PREFIX})


def _ipv6_choice(story: Network) -> str:
    """What the firewall says of its choice for the home network's IPv6."""
    status = story.nodes["firewall"].output(["routerctl", "status"])
    line = re.search(r"^  home .*?IPv6 (.*?)(?=^  \w)", status, re.MULTILINE | re.DOTALL)
    assert line, status
    return line[1].partition("(")[0]


@pytest.mark.rfc("7084", "WLL-2/3")
@pytest.mark.rfc("5072", "alone")
def test_session_without_ipcp_still_serves_ipv6(story: Network) -> None:
    old = story.session()
    story.provider.ipcp = False
    story.provider.write()
    story.provider.hang_up()
    _again(story, old, {6: PREFIX})
    assert story.reach("laptop", 4) is None
    old = story.session()
    story.provider.ipcp = True
    story.provider.write()
    story.provider.hang_up()
    _again(story, old, {4: "192.0.2.96/28", 6: PREFIX})


def test_session_refused_says_so_and_does_not_hammer(story: Network) -> None:
    provider = story.provider
    old = story.session()
    right, provider.password = provider.password, "another"
    provider.write()
    try:
        started = story.wire.count("PADI")
        before = time.monotonic()
        provider.hang_up()
        refusal = "the ISP refuses user name or password"
        wait_for(lambda: refusal in story.logs("kpn"), 60, lambda: story.logs("kpn")[-3000:])
        wait_for(lambda: "no PPP session" in _status(story), 20, lambda: _status(story))
        assert "password" in _status(story)
        wait_for(lambda: time.monotonic() - before > REFUSED_SECONDS, REFUSED_SECONDS + 1, "some attempts")
        attempts = story.wire.count("PADI") - started
        # After 5 s, and 10 s after that; a PADI may be repeated when the ISP is slow to answer.
        seconds = time.monotonic() - before
        assert 1 <= attempts <= 2 + seconds / 5, f"{attempts} attempts in {seconds:.0f} s"
        assert story.reach("laptop", 4) is None
    finally:
        provider.password = right
        provider.write()
    _again(story, old, {4: "192.0.2.96/28", 6: PREFIX})
    assert right not in story.logs("kpn")
    assert "no PPP session" not in _status(story)


def _status(story: Network) -> str:
    return story.nodes["kpn"].output(["routerctl", "status"])
