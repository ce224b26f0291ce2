"""Whatever stands in a file, `check` answers with a report."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import CheckReport
from agent.config.document import parse
from tests.unit.config.kit import report

ROOT = Path(__file__).parents[2]
DOCUMENTS = [parse("f", (ROOT / f"compose/router-{name}.yaml").read_text()) for name in ("home", "hoster")]
WORDS = [
    "home",
    "dmz",
    "vms",
    "kpn",
    "vm1",
    "nas",
    "internet",
    "any",
    "firewall",
    "none",
    "static",
    "wireguard",
    "10.10.0.0/24",
    "10.99.0.10",
    "fd4b:9ca2:1d70::/48",
    "2001:db8:77:1::/64",
    "::/0",
    "0.0.0.0/0",
    "::",
    "::1",
    "fe80::1",
    "ffff::",
    "12h",
    "0s",
    "10.10.0.1-10.10.0.255",
    "02:00:00:00:10:05",
    "eth0",
    "",
    "0.0.0.0/30",
    "255.255.255.255/8",
    "1-65535",
]
SCALARS = st.none() | st.booleans() | st.integers(-2, 70000) | st.sampled_from(WORDS) | st.text(max_size=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=4,
)
CHANGES = st.lists(st.tuples(st.integers(0, 10**6), VALUES | st.just(...)), min_size=1, max_size=3)


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> None:
    """Sets or deletes (`...`) what stands at a path, if it still does."""
    for part in path[:-1]:
        if not isinstance(value, dict | list) or (isinstance(value, dict) and part not in value):
            return
        if isinstance(value, list) and not (isinstance(part, int) and part < len(value)):
            return
        value = value[part]  # type: ignore[index]
    last = path[-1]
    if isinstance(value, dict) and isinstance(last, str):
        if new is ...:
            value.pop(last, None)
        else:
            value[last] = new
    elif isinstance(value, list) and isinstance(last, int) and last < len(value) and new is not ...:
        value[last] = new


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
@given(st.sampled_from(DOCUMENTS), CHANGES)
def test_a_changed_example_gives_a_report(document: Any, changes: list[tuple[int, Any]]) -> None:
    value = copy.deepcopy(document.value)
    paths = sorted((path for path in document.values if path), key=str)
    for number, new in changes:
        changed(value, paths[number % len(paths)], new)
    found = report(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))
    assert isinstance(found, CheckReport)
    assert found.ok == (found.settings is not None)
    assert all(finding.line and finding.message and finding.mend for finding in found.errors), found.render_text()
