"""`routerctl uplinks` on a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

from agent.uplinks_text import uplinks_text


def fares(
    *, well: bool | None = True, against: str = "", failures: int = 0, loss: float | None = None
) -> dict[str, Any]:
    since = None if well is None else 75.0
    rtt = None if loss is None else 0.0123
    return {"well": well, "for": since, "against": against, "failures": failures, "loss": loss, "rtt": rtt}


def choice(
    uplink: str | None, why: str, considered: dict[str, str], shares: dict[str, int] | None = None
) -> dict[str, Any]:
    return {"uplink": uplink, "why": why, "for": 75.0, "shares": shares or {}, "considered": considered}


def shown(uplinks: dict[str, Any], networks: dict[str, Any]) -> str:
    return uplinks_text({"uplinks": uplinks, "networks": networks}, 80)


def test_what_is_down_says_why_once_and_networks_that_are_alike_are_told_once() -> None:
    kpn = {"wish": None, "ipv4": fares(well=False, against="probes fail", failures=1), "ipv6": fares(loss=0.0)}
    lte = {"wish": "prefer", "ipv4": fares(against="metered", failures=2), "ipv6": fares(well=None)}
    considered = {"kpn": "probes fail", "lte": "metered"}
    four = choice("lte", "kpn: probes fail; none is better than lte: metered", considered)
    six = choice("kpn", "best", {"kpn": "", "lte": "metered", "tunnel": ""})
    alike = {"ipv4": four, "ipv6": six}
    shared = choice("kpn", "best", {"kpn": "", "lte": ""}, {"kpn": 3, "lte": 1})
    none = choice(None, "no uplink is configured", {})
    text = shown({"kpn": kpn, "lte": lte}, {"home": alike, "guest": alike, "iot": {"ipv4": shared, "ipv6": none}})
    assert (
        text
        == """\
uplinks
  kpn         IPv4 NOT WELL for 75 s: probes fail (1 failure lately)
              IPv6 well for 75 s (loss 0%, 12 ms)
  lte         IPv4 well for 75 s: metered (2 failures lately)
              IPv6 not seen yet
              preferred by hand
networks
  home        IPv4 lte for 75 s: kpn: probes fail; none is better than lte:
              metered
              IPv6 kpn for 75 s: best; else lte (metered), tunnel
  guest       as home
  iot         IPv4 kpn 3, lte 1 for 75 s: best
              IPv6 NONE for 75 s: no uplink is configured
"""
    )
    assert max(map(len, text.splitlines())) <= 80
