"""The lease files of dhcpcd's hook."""

from __future__ import annotations

import contextlib
from ipaddress import IPv6Network, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.lease import parse_lease, read_leases
from agent.model import Delegation, Lease

SIX = """uptime=1000.5
reason=BOUND6
new_dhcp6_name_servers=2001:db8::53 fe80::1%wan
new_dhcp6_ia_pd1_prefix1=2001:db8:a100::
new_dhcp6_ia_pd1_prefix1_length=48
new_dhcp6_ia_pd1_prefix1_pltime=3000
new_dhcp6_ia_pd1_prefix1_vltime=4294967295
"""


def test_a_delegation_has_deadlines_counted_from_when_the_hook_ran() -> None:
    prefix = Delegation(IPv6Network("2001:db8:a100::/48"), preferred_until=4000.5, valid_until=None)
    servers = (ip_address("2001:db8::53"), ip_address("fe80::1"))
    assert parse_lease("wan", 6, SIX) == Lease("wan", 6, dns=servers, delegations=(prefix,))


def test_an_ipv4_lease_has_servers_and_a_domain() -> None:
    text = "uptime=1\nnew_domain_name_servers=192.0.2.53\nnew_domain_name=isp.example\n"
    assert parse_lease("wan", 4, text) == Lease("wan", 4, (ip_address("192.0.2.53"),), "isp.example")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("=2001:db8:a100::\n", "=2001:db8:a100::1\n", "ia_pd1_prefix1.*host bits"),
        ("pltime=3000", "pltime=soon", "pltime: 'soon' is not a number"),
        ("length=48", "length=480", "prefix1"),
    ],
)
def test_a_wrong_variable_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_lease("wan", 6, SIX.replace(old, new))


@given(st.text())
def test_any_text_is_a_lease_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_lease("wan", 6, text)


def test_a_broken_file_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "wan.6").write_text(SIX)
    (tmp_path / "wan.4").write_text("uptime=x\n")
    (tmp_path / "wan.6.tmp").write_text("half")
    assert [lease.family for lease in read_leases(tmp_path)] == [6]
    assert read_leases(tmp_path / "nowhere") == ()
