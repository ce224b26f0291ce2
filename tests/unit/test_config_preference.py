"""The order of a network's uplinks, weights and failback, as they are written."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.preference import Preference, groups
from tests.unit.config.kit import config, expect, settings

preferences = st.builds(Preference, st.sampled_from("abcd"), st.none() | st.integers(1, 5))


def home(uplinks: str, more: str = "") -> str:
    dmz = "dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }"
    return f"networks:\n  home: {{ subnet: 0x10, ipv4: 10.10.0.0/24, uplinks: {uplinks}{more} }} # here\n  {dmz}\n"


@pytest.mark.parametrize(
    ("uplinks", "key", "message", "mend"),
    [
        ("[{ kpn: 3 }, odido]", "uplinks[0]", "`3` after `kpn` where its weight", "write { kpn: { weight: 3 } }"),
        ("[{ kpn: { weight: 0 } }, odido]", "uplinks[0]", "`0` is not a weight", "from 1 to 100"),
        ("[{ kpn: { wait: 1 } }, odido]", "uplinks[0]", "where its weight is expected", "{ weight: 3 }"),
        ("[{ kpn: { weight: 1 }, odido: { weight: 1 } }]", "uplinks[0]", "is not an uplink in an order", "write the"),
        ("[7]", "uplinks[0]", "`7` is not an uplink in an order", "write the uplink's name"),
        ("[{ kpn: { weight: 1 } }, odido]", "uplinks[0]", "`kpn` has a weight, and no neighbour", "a weight too"),
        ("[{ nix: { weight: 1 } }, { kpn: { weight: 1 } }]", "uplinks[0]", "no uplink `nix`", "write one of"),
    ],
)
def test_what_is_wrong_with_an_order(uplinks: str, key: str, message: str, mend: str) -> None:
    expect(config(networks=home(uplinks)), f"networks.home.{key}", message, mend)


def test_balance_without_anything_to_share_is_a_warning() -> None:
    text = config(networks=home("[kpn, odido]", ", balance: source"))
    expect(text, "networks.home.balance", "nothing is shared", "or delete `balance`", level="warning")


def test_names_weights_and_defaults() -> None:
    found = settings(networks=home("[{ kpn: { weight: 3 } }, { odido: { weight: 1 } }]"))
    assert found.uplinks_of("home") == ("kpn", "odido")
    assert found.preferences("home") == (Preference("kpn", 3), Preference("odido", 1))
    assert found.preferences("dmz") == (Preference("kpn"), Preference("odido"))
    assert found.failback("home") == ("soft", None)


def test_a_network_overrides_the_sites_failback() -> None:
    site = "site: { name: t, prefix: 'fd4b:9ca2:1d70::/48', failback: hard, failback_limit: 1h }"
    found = settings(site=site, networks=home("[kpn, odido]", ", failback: soft, failback_limit: 5m"))
    assert found.failback("home") == ("soft", 300.0)
    assert found.failback("dmz") == ("hard", 3600.0)


@given(st.lists(preferences, max_size=8))
def test_places_keep_the_order_and_only_neighbours_with_weights_share(order: list[Preference]) -> None:
    found = groups(order)
    assert [entry for place in found for entry in place] == order
    assert all(len(place) == 1 or all(entry.weight for entry in place) for place in found)
    for one, other in pairwise(found):
        assert one[-1].weight is None or other[0].weight is None
