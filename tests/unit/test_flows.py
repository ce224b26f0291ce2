"""Which connections end when an uplink fails, and when a better one has returned."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest

from agent.config.preference import Preference, groups
from agent.desired import FlowEnd
from agent.model import Choice, Family, FamilyChoice, Selection
from agent.plan.choice import NONE6, Order
from agent.plan.firewall_uplinks import UplinkView
from agent.plan.flows import CHOSEN, METERED_LIMIT, MOVABLE, failed, left_behind
from agent.plan.standing import Outlook

HOME4, GUEST4 = IPv4Network("10.10.0.0/24"), IPv4Network("10.20.0.0/24")
HOME6 = IPv6Network("fd00:0:0:10::/64")


def order(
    *names: str,
    subnets4: tuple[IPv4Network, ...] = (HOME4,),
    subnets6: tuple[IPv6Network, ...] = (),
    manual: bool = False,
    hard: bool = False,
    limit: float | None = None,
) -> Order:
    return Order(0, groups(map(Preference, names)), frozenset(names), subnets4, subnets6, manual, hard, limit)


def uplinks(**down4: str) -> dict[str, UplinkView]:
    return {
        name: UplinkView(name, mark, known=True, down4=down4.get(name, ""))
        for mark, name in enumerate(("kpn", "odido", "lte"), 1)
    }


def choice(network: str, uplink: str | None) -> Choice:
    return Choice(network, FamilyChoice(uplink, ""), NONE6)


def test_all_movable_connections_end_where_every_user_has_a_target() -> None:
    orders = {"home": order("kpn", "odido"), "guest": order("odido", "kpn", subnets4=(GUEST4,))}
    found = failed(orders, uplinks(kpn="no carrier"), (choice("home", "odido"), choice("guest", "odido")))
    assert list(found) == [FlowEnd(4, mark=1, mask=MOVABLE, reset=True)]


def test_a_network_without_a_target_keeps_its_connections() -> None:
    orders = {"home": order("kpn", "odido"), "guest": order("kpn", subnets4=(GUEST4,))}
    found = failed(orders, uplinks(kpn="no carrier"), (choice("home", "odido"), choice("guest", None)))
    assert list(found) == [FlowEnd(4, mark=1, mask=MOVABLE, inside=(HOME4,), reset=True)]
    nothing = failed(orders, uplinks(kpn="x", odido="x"), (choice("home", None), choice("guest", None)))
    assert list(nothing) == []


def test_a_network_without_a_family_does_not_count() -> None:
    orders = {"home": order("kpn", "odido", subnets6=(HOME6,)), "guest": order("kpn")}
    views = {**uplinks(), "kpn": UplinkView("kpn", 1, known=True, down6="no IPv6")}
    found = failed(orders, views, (Choice("home", NONE6, FamilyChoice("odido", "")), choice("guest", "kpn")))
    assert list(found) == [FlowEnd(6, mark=1, mask=MOVABLE, reset=True)]


def behind(
    found: Order, selection: Selection, now: float, out: Outlook | None = None, **down: str
) -> tuple[tuple[FlowEnd, ...], tuple[float, ...]]:
    return left_behind({"home": found}, uplinks(**down), {"home/4": selection}, out or Outlook(), now)


BACK = Selection(("kpn",), 100.0, ("odido",))
END = FlowEnd(4, mark=2, mask=CHOSEN, inside=(HOME4,), reset=True)


@pytest.mark.parametrize(
    ("found", "now", "ends", "moments"),
    [
        (order("kpn", "odido"), 1e9, (), ()),
        (order("kpn", "odido", hard=True), 100.0, (END,), ()),
        (order("kpn", "odido", limit=30.0), 129.9, (), (130.0,)),
        (order("kpn", "odido", limit=30.0), 130.0, (END,), ()),
        (order("kpn", "odido", manual=True, limit=30.0), 1e9, (), ()),
    ],
)
def test_what_was_left_behind_ends_by_policy(
    found: Order, now: float, ends: tuple[FlowEnd, ...], moments: tuple[float, ...]
) -> None:
    assert behind(found, BACK, now) == (ends, moments)


def test_a_metered_uplink_is_left_soon_and_a_drained_or_dead_one_is_not_our_business() -> None:
    soft, hard = order("kpn", "odido"), order("kpn", "odido", hard=True)
    metered = Outlook(metered=frozenset({"odido"}))
    assert behind(soft, BACK, 100.0, metered) == ((), (100.0 + METERED_LIMIT,))
    assert behind(soft, BACK, 100.0 + METERED_LIMIT, metered) == ((END,), ())
    assert behind(hard, BACK, 100.0, Outlook(drained=frozenset({"odido"}))) == ((), ())
    assert behind(hard, BACK, 100.0, odido="no carrier") == ((), ())


def test_without_a_target_nothing_that_was_left_behind_ends() -> None:
    families: tuple[Family, ...] = (4, 6)
    gone = {f"home/{family}": Selection((), 100.0, ("kpn", "odido")) for family in families}
    found = left_behind({"home": order("kpn", "odido", hard=True)}, uplinks(), gone, Outlook(), 1e9)
    assert found == ((), ())
