"""Strict reading of a JSON object: each method gives a field's value or raises `WireError` with its name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network, ip_address
from typing import Any, TypeVar

from agent.model import IPAddress
from agent.wire.errors import WireError

T = TypeVar("T")
MAX_TEXT = 4096
MAX_ITEMS = 1024
MAX_SECONDS = 0xFFFFFFFF
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_CIDR = re.compile(r"[0-9a-f.:]{2,45}/(0|[1-9][0-9]{0,2})")
# What a terminal could take for a command: C0 and C1 but tab and newline, and lone surrogates (no UTF-8 of them).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_MISSING = object()


def clean(text: str) -> str:
    """Make free text fit to be sent: no control characters, at most `MAX_TEXT` characters."""
    return _UNSAFE.sub("?", text[:MAX_TEXT])


class Fields:
    """The fields of one JSON object of a topic. `at` is the path of the object inside the document."""

    def __init__(self, topic: str, values: Mapping[str, Any], at: str = "") -> None:
        self._topic = topic
        self._values = values
        self._at = at

    def error(self, name: str, why: str) -> WireError:
        """Make the error of a field."""
        return WireError(self._topic, self._at + name, why)

    def text(self, name: str, *, default: str | None = None) -> str:
        """Free text."""
        value = self._get(name, str, "text", default)
        if len(value) > MAX_TEXT:
            raise self.error(name, f"longer than {MAX_TEXT} characters")
        if _UNSAFE.search(value):
            raise self.error(name, "control characters")
        return value

    def name(self, name: str, pattern: re.Pattern[str]) -> str:
        """Text that matches a pattern as a whole."""
        value = self._get(name, str, "text")
        if not pattern.fullmatch(value):
            raise self.error(name, "not a name")
        return value

    def mac(self, name: str) -> str:
        """A MAC in lower case with colons; empty where there is none."""
        value = self._get(name, str, "text", "")
        if value and not _MAC.fullmatch(value):
            raise self.error(name, "not a MAC such as 02:00:00:00:00:01")
        return value

    def flag(self, name: str) -> bool:
        """Read true or false."""
        return self._get(name, bool, "true or false")

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number within bounds, both included."""
        value = self._get(name, int, "a whole number")
        if isinstance(value, bool) or not low <= value <= high:
            raise self.error(name, f"not a whole number of {low} to {high}")
        return value

    def seconds(self, name: str) -> int | None:
        """A lifetime in whole seconds, None for infinite."""
        return self.integer(name, 0, MAX_SECONDS) if self.has(name) else None

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number within bounds, None where it is not known."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            known = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
        except OverflowError:
            known = math.inf
        if not low <= known <= high:
            raise self.error(name, f"not a number of {low:g} to {high:g}")
        return known

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name) is not None

    def maybe(self, name: str, parse: Callable[[object], T]) -> T | None:
        """A value that `parse` makes (ValueError: why not), None where there is none."""
        return self._parse(name, parse, self._values[name]) if self.has(name) else None

    def value(self, name: str, parse: Callable[[object], T]) -> T:
        """A value that `parse` makes, and that must be there."""
        if not self.has(name):
            raise self.error(name, "missing")
        return self._parse(name, parse, self._values[name])

    def items(self, name: str, parse: Callable[[object], T]) -> tuple[T, ...]:
        """A list of values that `parse` makes; no list is an empty one."""
        return tuple(self._parse(f"{name}[{n}]", parse, item) for n, item in enumerate(self._list(name)))

    def inner(self, name: str) -> Fields | None:
        """An object inside this one, None where there is none."""
        return self._inner(name, self._values[name]) if self.has(name) else None

    def inner_items(self, name: str) -> tuple[Fields, ...]:
        """A list of objects."""
        return tuple(self._inner(f"{name}[{n}]", item) for n, item in enumerate(self._list(name)))

    def _inner(self, name: str, value: object) -> Fields:
        if not isinstance(value, dict):
            raise self.error(name, "not an object")
        return Fields(self._topic, value, f"{self._at}{name}.")

    def _list(self, name: str) -> list[Any]:
        items: list[Any] = self._get(name, list, "a list", [])
        if len(items) > MAX_ITEMS:
            raise self.error(name, f"more than {MAX_ITEMS} items")
        return items

    def _parse(self, name: str, parse: Callable[[object], T], value: object) -> T:
        try:
            return parse(value)
        except ValueError as error:
            raise self.error(name, str(error)[:200]) from error

    def _get(self, name: str, kind: type[T], what: str, default: T | None = None) -> T:
        value = self._values.get(name, _MISSING)
        if value is _MISSING and default is not None:
            return default
        if value is _MISSING:
            raise self.error(name, "missing")
        if not isinstance(value, kind):
            raise self.error(name, f"not {what}")
        return value


def address(value: object) -> IPAddress:
    """An address of either family; no zone."""
    return ip_address(_without_zone(value))


def ipv4_address(value: object) -> IPv4Address:
    """An IPv4 address."""
    return IPv4Address(_without_zone(value))


def ipv6_address(value: object) -> IPv6Address:
    """An IPv6 address; no zone."""
    return IPv6Address(_without_zone(value))


def ipv4_interface(value: object) -> IPv4Interface:
    """An IPv4 address with its prefix length."""
    return IPv4Interface(_cidr(value))


def ipv6_interface(value: object) -> IPv6Interface:
    """An IPv6 address with its prefix length."""
    return IPv6Interface(_cidr(value))


def ipv6_network(value: object) -> IPv6Network:
    """An IPv6 prefix without host bits."""
    return IPv6Network(_cidr(value))


def _without_zone(value: object) -> str:
    # `ipaddress` would take a number too.
    if not isinstance(value, str) or "%" in value:
        raise ValueError("not an address")
    return value


def _cidr(value: object) -> str:
    if not isinstance(value, str) or not _CIDR.fullmatch(value):
        raise ValueError("not written as address/length")
    return value
