"""A `Ruleset` as scripts: the whole of it, or what turns another one into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.desired import Ruleset

TABLE = "inet router"
# nft reads one command at a time; a command of this many elements keeps its memory small, the transaction is still one.
_CHUNK = 1000


def whole(ruleset: Ruleset) -> str:
    """A script that makes a ruleset true from whatever there is, in one transaction."""
    lines = [ruleset.skeleton.rstrip("\n")]
    for name, held in sorted(ruleset.elements.items()):
        lines += _additions(name, held)
    for name, rules in sorted(ruleset.chains.items()):
        lines += [f"add rule {TABLE} {name} {rule}" for rule in rules]
    return "\n".join(lines) + "\n"


def difference(before: Ruleset, after: Ruleset) -> str:
    """A script that turns one ruleset into another of the same skeleton; empty where nothing differs."""
    lines: list[str] = []
    added: list[str] = []
    for name in sorted({*before.elements, *after.elements}):
        old, new = before.elements.get(name, {}), after.elements.get(name, {})
        if old is new or old == new:
            continue
        # A key with another value is deleted and added: within a transaction no packet sees it gone.
        lines += deletions(name, {key: value for key, value in old.items() if new.get(key) != value})
        added += _additions(name, {key: value for key, value in new.items() if old.get(key) != value})
    lines += added
    for name in sorted({*before.chains, *after.chains}):
        rules = after.chains.get(name, ())
        if rules != before.chains.get(name, ()):
            lines.append(f"flush chain {TABLE} {name}")
            lines += [f"add rule {TABLE} {name} {rule}" for rule in rules]
    return "\n".join(lines)


def _additions(name: str, held: Mapping[str, str]) -> Iterator[str]:
    for chunk in _chunks([f"{key} : {value}" if value else key for key, value in held.items()]):
        yield f"add element {TABLE} {name} {{ {', '.join(chunk)} }}"


def deletions(name: str, held: Mapping[str, str]) -> Iterator[str]:
    """Commands that take elements out of a set or map."""
    for chunk in _chunks(list(held)):
        yield f"delete element {TABLE} {name} {{ {', '.join(chunk)} }}"


def _chunks(items: list[str]) -> Iterator[list[str]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
