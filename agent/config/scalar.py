"""Plain scalars: null, true, false, decimal and 0x of YAML 1.2's core schema (section 10.3.2), and nothing else.

YAML 1.1, which PyYAML speaks, makes numbers of 52:54:00:12:34:56 and 010, booleans of `on` and `no`, and dates. All
these stay text here. So do three that 1.2 would read: a number with a leading zero and 0o10, since the writer may mean
either, and floats, since no key takes one and 1e3 may be a name.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Scalar: TypeAlias = str | int | bool | None

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
# Bounded: int() refuses texts of more than 4300 digits with an error of its own.
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,99})", re.ASCII)
_HEX = re.compile(r"0x[0-9a-fA-F]{1,100}", re.ASCII)


def plain(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _DECIMAL.fullmatch(text):
        return int(text)
    return int(text, 16) if _HEX.fullmatch(text) else text
