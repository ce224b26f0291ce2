"""DNS messages as far as a probe needs them (RFC 1035): one question, and what it was answered. Pure."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from agent.model import Family, IPAddress

PORT: Final = 53
_HEADER: Final = struct.Struct("!6H")
_RECORD: Final = struct.Struct("!HHIH")
_TYPE: Final = {4: 1, 6: 28}  # A, and AAAA (RFC 3596)
_IN = 1
_RECURSION_DESIRED = 0x0100
_RESPONSE = 0x8000
_RCODE = 0x000F
_WELL: Final = frozenset({0, 3})  # no error, and no such name: the server looked, and found an answer
_POINTER = 0xC0


class MessageError(ValueError):
    """Not an answer to the question."""


def query(identifier: int, name: str, family: Family) -> bytes:
    """Ask for the addresses of `name` (RFC 1035 section 4.1)."""
    labels = b"".join(bytes([len(label)]) + label for label in name.encode("idna").split(b"."))
    return (
        _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
        + labels
        + b"\0"
        + struct.pack("!HH", _TYPE[family], _IN)
    )


def answer(question: bytes, data: bytes) -> tuple[IPAddress, ...]:
    """The addresses in the answer to `question`; none where the name has none. Raises MessageError."""
    if (
        len(data) < len(question)
        or data[:2] != question[:2]
        or data[_HEADER.size : len(question)] != question[_HEADER.size :]
    ):
        raise MessageError("not the answer to this question")
    _, flags, _, count, _, _ = _HEADER.unpack_from(data)
    if not flags & _RESPONSE or flags & _RCODE not in _WELL:
        raise MessageError(f"the server failed with code {flags & _RCODE}")
    found: list[IPAddress] = []
    at = len(question)
    try:
        for _ in range(count):
            at = _after_name(data, at)
            kind, _, _, size = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            value = data[at : at + size]
            if len(value) < size:
                raise MessageError("cut short")
            if kind == _TYPE[4] and size == 4:  # noqa: PLR2004
                found.append(IPv4Address(value))
            elif kind == _TYPE[6] and size == 16:  # noqa: PLR2004
                found.append(IPv6Address(value))
            at += size
    except (struct.error, IndexError) as error:
        raise MessageError("cut short") from error
    return tuple(found)


def _after_name(data: bytes, at: int) -> int:
    """Where a name ends that begins at `at`; names are compared by nobody here."""
    while data[at]:
        if data[at] & _POINTER == _POINTER:
            return at + 2
        at += data[at] + 1
    return at + 1
