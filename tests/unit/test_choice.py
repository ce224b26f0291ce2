from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Family
from agent.plan.choice import choices, choose
from agent.plan.firewall_uplinks import UplinkView
from tests.golden.firewall_cases import HOME, settings

PREFIX = IPv6Network("fd00:0:0:10::/64")
NAMES = ("a", "b", "c", "d")
reason = st.sampled_from(["", "", "no carrier", "probes fail"])
uplinks = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(UplinkView, st.just("x"), st.integers(1, 250), down4=reason, down6=reason, nat66=st.booleans()),
)
families: st.SearchStrategy[Family] = st.sampled_from([4, 6])


@given(st.permutations(NAMES), uplinks, families)
def test_the_choice_is_the_first_usable_of_the_order(
    order: list[str], found: dict[str, UplinkView], family: Family
) -> None:
    choice = choose(tuple(order), found, family, PREFIX)
    usable = [name for name in order if name in found and not found[name].down(family)]
    assert choice.uplink == (usable[0] if usable else None)
    passed_over = order[: order.index(choice.uplink)] if choice.uplink else order
    assert all(f"{name}: " in choice.why for name in passed_over)


@given(st.permutations(NAMES), uplinks, families)
def test_an_unusable_uplink_never_changes_the_choice(
    order: list[str], found: dict[str, UplinkView], family: Family
) -> None:
    usable = {name: uplink for name, uplink in found.items() if not uplink.down(family)}
    kept = choose(tuple(order), usable, family, PREFIX).uplink
    assert choose(tuple(order), found, family, PREFIX).uplink == kept


@pytest.mark.parametrize(
    ("mapped", "nat66", "usable"),
    [
        ((PREFIX,), False, True),
        ((), True, True),
        ((), False, False),
        ((IPv6Network("fd00:0:0:20::/64"),), False, False),
    ],
)
def test_a_network_without_a_mapping_needs_nat66(mapped: tuple[IPv6Network, ...], nat66: bool, usable: bool) -> None:
    uplink = UplinkView("a", 1, mode6="networks", mapped6=mapped, nat66=nat66)
    choice = choose(("a",), {"a": uplink}, 6, PREFIX)
    assert choice.uplink == ("a" if usable else None)
    assert usable or "no mapping" in choice.why


def test_a_network_uses_its_own_uplinks_in_its_own_order() -> None:
    every = {name: UplinkView(name, mark) for mark, name in enumerate(("kpn", "odido", "vpn"), 1)}
    found = {choice.network: choice for choice in choices(settings(HOME), every)}
    assert {name: choice.ipv4.uplink for name, choice in found.items()} == {
        "home": "kpn",
        "guest": "odido",
        "iot": "kpn",
        "management": "kpn",
        "dmz": "kpn",
    }
    only_vpn = {"vpn": every["vpn"]}
    found = {choice.network: choice for choice in choices(settings(HOME), only_vpn)}
    assert found["iot"].ipv6.uplink == "vpn"
    assert found["home"].ipv6.uplink is None  # its `uplinks` is exhaustive
    assert found["dmz"].ipv4.uplink is None  # a tunnel never carries its own outer packets
