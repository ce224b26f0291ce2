"""Offloading flows: only where the kernel can, only between devices that are there, never on the DMZ alone."""

from __future__ import annotations

import pytest

from agent.desired.ingress import IngressStatic, IngressTable
from agent.render import render_ruleset


def _skeleton(static: IngressStatic) -> str:
    return render_ruleset(IngressTable(static)).skeleton


def test_flows_between_both_devices_are_offloaded() -> None:
    text = _skeleton(IngressStatic(wan="wan", dmz="dmz", flowtable=True))
    assert 'flowtable fast { hook ingress priority filter; devices = { "dmz", "wan" }; }' in text
    assert "flow add @fast" in text
    line = next(line for line in text.splitlines() if "flow add" in line)
    assert '"dmz" . "dmz"' not in line


def test_what_is_offloaded_was_accepted_and_clamped_before() -> None:
    lines = [line.strip() for line in _skeleton(IngressStatic(wan="wan", dmz="dmz", flowtable=True)).splitlines()]
    clamp = next(number for number, line in enumerate(lines) if "maxseg" in line)
    add = next(number for number, line in enumerate(lines) if "flow add" in line)
    accept = next(
        number
        for number, line in enumerate(lines)
        if line.startswith("ct state established,related accept") and number > clamp
    )
    assert clamp < add < accept
    assert "ct state established" in lines[add]


@pytest.mark.parametrize(
    "static",
    [
        IngressStatic(wan="wan", dmz="dmz"),
        IngressStatic(wan=None, dmz="dmz", flowtable=True),
        IngressStatic(wan="wan", dmz=None, flowtable=True),
    ],
)
def test_without_kernel_or_device_there_is_no_flowtable(static: IngressStatic) -> None:
    text = _skeleton(static)
    assert "flowtable" not in text
    assert "flow add" not in text
