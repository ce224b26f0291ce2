"""Named counters keep what they have counted when their table is replaced.

A counter is known by its comment, which says what it counts: a rule that got another number keeps its count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# As `nft list counters` writes one (1.0.6 and 1.1.3), and as a skeleton declares one.
_LISTED = re.compile(r'counter \S+ \{\s+comment "([^"]+)"\s+packets (\d+) bytes (\d+)\s+\}')
_DECLARED = re.compile(r'^(\s*counter \S+ \{ )(comment "([^"]+)" \})$', re.MULTILINE)


def has_counts(script: str) -> bool:
    """Whether a script declares counters that keep their counts."""
    return _DECLARED.search(script) is not None


def counts(listing: str) -> dict[str, str]:
    """What a listing's counters with a comment have counted, by comment, in nft's words."""
    return {name: f"packets {packets} bytes {size}" for name, packets, size in _LISTED.findall(listing)}


def carried(script: str, found: Mapping[str, str]) -> str:
    """The script with what its counters have counted so far. Its lines keep their numbers."""
    if not found:
        return script

    def begin(match: re.Match[str]) -> str:
        so_far = found.get(match[3])
        return match[0] if so_far is None else f"{match[1]}{so_far}; {match[2]}"

    return _DECLARED.sub(begin, script)
