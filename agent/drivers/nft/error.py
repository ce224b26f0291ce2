"""What nft says when it refuses, with the line that it means."""

from __future__ import annotations

import re

_WHERE = re.compile(r":(\d+):\d+(?:-\d+)?: (?:Error: )?(.*)")


class NftError(Exception):
    """The kernel or nft refused. The text names the guilty line; `hint` says how to mend it, `line` is its number."""

    def __init__(self, message: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.line = line


def error_of(error: str, text: str) -> NftError:
    """What nft says, with the line it means: by its number in `text` where nft gives one."""
    where = _WHERE.search(error)
    said = error.strip().splitlines()
    if where is None:
        return NftError("nft: " + "; ".join(line.strip() for line in said[:2] if line.strip()), _hint(error))
    number, what = int(where[1]), where[2]
    lines = text.splitlines()
    guilty = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return NftError(f"nft: {what} in line {number}: {guilty[:400]}", _hint(error), number)


def _hint(error: str) -> str:
    if "Operation not permitted" in error:
        return "give the container NET_ADMIN"
    if "No such file or directory" in error or "not supported" in error:
        return "the kernel may lack an nftables module that the rules use: see `zgrep NF_ /proc/config.gz`"
    return ""
