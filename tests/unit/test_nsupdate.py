"""Differences of zones, and key files."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.desired.names import Record, ZoneTarget
from agent.drivers.nsupdate import NsupdateError, Server, Sets, difference, read_key

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="  # noqa: S105 - nobody's
NAMES, DATA = st.sampled_from(["a.z", "b.z", "c.z"]), st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])


def target(*records: Record, ttl: int = 60) -> ZoneTarget:
    return ZoneTarget("z", IPv4Address("127.0.0.1"), 53, "key", records, ttl)


def sets(*records: Record, ttl: int = 60) -> Sets:
    found: dict[tuple[str, str], set[str]] = {}
    for record in records:
        found.setdefault((record.name, record.type), set()).add(record.data)
    return {key: (frozenset(data), ttl) for key, data in found.items()}


@given(st.sets(st.tuples(NAMES, DATA)), st.sets(st.tuples(NAMES, DATA)), st.sampled_from([60, 300]))
def test_a_difference_makes_one_the_other_and_touches_nothing_else(
    before: set[tuple[str, str]], after: set[tuple[str, str]], ttl: int
) -> None:
    old = [Record(name, "A", data) for name, data in sorted(before)]
    new = [Record(name, "A", data) for name, data in sorted(after)]
    change = difference(target(*new), sets(*old, ttl=ttl))
    left = {key: value for key, value in sets(*old, ttl=ttl).items() if key not in change.gone}
    made = {**left, **sets(*(record for record, _ in change.added))}
    assert made == sets(*new)
    assert all(key not in change.gone for key, value in sets(*new).items() if sets(*old, ttl=ttl).get(key) == value)
    assert not difference(target(*new), made)


def test_a_key_as_tsig_keygen_prints_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f'key "router" {{\n\talgorithm hmac-sha512;\n\tsecret "{SECRET}";\n}};\n')
    key = read_key(path)
    assert (key.name, key.algorithm, key.secret) == ("router", "hmac-sha512", SECRET)
    assert SECRET not in repr(key)


@pytest.mark.parametrize(
    "text", ["", "key", 'key "a" { algorithm hmac-sha256; };', f'key "a" {{ secret "{SECRET[:-2]}"; }};', "\xff"]
)
def test_a_key_file_that_is_none_is_named_and_never_shown(text: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(NsupdateError) as raised:
        read_key(path)
    assert str(path) in str(raised.value)
    assert SECRET[:-2] not in str(raised.value)
    assert raised.value.hint


def test_a_key_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NsupdateError, match="no such file"):
        read_key(tmp_path / "key")


@pytest.mark.parametrize("algorithm", ["hmac-md5", "hmac-foo"])
def test_a_key_of_an_algorithm_that_cannot_be_used_is_an_error_that_names_it(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f'key "a" {{ algorithm {algorithm}; secret "{SECRET}"; }};')
    with pytest.raises(NsupdateError, match=algorithm):
        read_key(path)


async def test_a_name_that_dns_cannot_hold_is_an_error_of_the_zone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f'key "a" {{ algorithm hmac-sha256; secret "{SECRET}"; }};')
    wanted = replace(target(Record(f"{'a' * 64}.z", "A", "192.0.2.1")), key_file=str(path))
    with pytest.raises(NsupdateError, match="LabelTooLong"):
        await Server(wanted).keep()
