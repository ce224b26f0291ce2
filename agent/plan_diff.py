"""What changes between two plans, by part, as lines for people. Pure: two plans with their texts in, changes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from difflib import unified_diff
from itertools import chain
from typing import Any

from agent.desired import ConfigFile, Plan, Ruleset

CONTEXT = 2
_OPENS = re.compile(r"^\s*(table|chain|set|map|flowtable|counter)\s+(.*?)\s*\{\s*(.*)$")
# Rules are numbered as they stand in the file: a rule more, and all behind it have other numbers. That is no change.
_NUMBER = re.compile(r"\brule_\d+\b")
_BRACES = re.compile(r"\{ (.*) \}")
_LONG = 90
_TABLE = "inet router"
_PAIR = re.compile(r"^fwd_(.+)_([a-z0-9-]+)$")
_TAKES = {
    "HUP": "reads it again, without a restart",
    "USR1": "reads it again, without a restart",
    "restart": "is restarted",
    "none": "is told nothing",
}


@dataclass(frozen=True, slots=True)
class View:
    """A plan, the texts it is rendered to, and what its devices are called: ifindex → name."""

    plan: Plan
    ruleset: Ruleset
    files: tuple[ConfigFile, ...]
    devices: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One object that changes. `lines` begin with `+`, `-`, a space (the same, for the place) or `@@` (a gap).

    `part`: rules, maps, files, services, links, addresses, routes, policy rules, neighbours, sysctls, connections,
    probes. `note`: what the change means for what runs.
    """

    part: str
    name: str
    lines: tuple[str, ...] = ()
    note: str = ""

    @property
    def summary(self) -> str:
        """In one line, for the log: `rules home → internet +1 -0`."""
        added, removed = (sum(line.startswith(sign) for line in self.lines) for sign in "+-")
        return f"{self.part} {self.name}".rstrip() + f" +{added} -{removed}"


def changes(before: View, after: View) -> tuple[Change, ...]:
    """All that differs, rules first. Lines are those of nft(8), of the generated files, or of a part's values."""
    found = chain(
        _rules(before.ruleset, after.ruleset),
        _maps(before.ruleset, after.ruleset),
        _files(before.files, after.files),
        _services(before.plan.services, after.plan.services),
        _values(before, after),
    )
    return tuple(change for change in found if change.lines)


# --- nftables -----------------------------------------------------------------------------------------------------


def _rules(before: Ruleset, after: Ruleset) -> Iterator[Change]:
    old, new = _objects(before), _objects(after)
    for name in _ordered(old, new):
        lines = _unified(old.get(name, []), new.get(name, []))
        note = "" if name in old and name in new else "new" if name in new else "gone"
        yield Change("rules", title(name), lines, note)


def _objects(ruleset: Ruleset) -> dict[str, list[str]]:
    """The chains and sets of a ruleset's text: name → lines without indent. `chain fwd_home_iot`, `set internal4`."""
    found: dict[str, list[str]] = {}
    table = inside = ""
    for line in map(str.strip, ruleset.skeleton.splitlines()):
        opens = _OPENS.match(line)
        if opens and opens[1] == "table":
            table = "" if opens[2] == _TABLE else f"{opens[2]} "
        elif opens and opens[1] != "counter":
            inside = f"{table}{opens[1]} {opens[2]}"
            found[inside] = list(_broken(opens[3].removesuffix("}").strip()))
            inside = "" if line.count("{") == line.count("}") else inside
        elif line == "}":
            inside = ""
        elif inside and line:
            found[inside] += _broken(_NUMBER.sub("rule", line).replace("counter name rule ", "counter "))
    for name, rules in ruleset.chains.items():
        found[f"chain {name}"] = [*found.get(f"chain {name}", []), *(part for rule in rules for part in _broken(rule))]
    return found


def _broken(line: str) -> Iterator[str]:
    """A line with a long set or map in it, with each element on a line of its own."""
    if len(line) <= _LONG or not (within := _BRACES.search(line)):
        yield from (line,) if line else ()
        return
    yield line[: within.start()] + "{"
    yield from (f"    {item}" for item in within[1].split(", "))
    yield "}" + line[within.end() :]


def title(name: str) -> str:
    """An nft object as people know it: the chain of a pair of zones is `home → internet`."""
    kind, _, rest = name.partition(" ")
    pair = _PAIR.match(rest) if kind == "chain" else None
    return f"{pair[1]} → {pair[2]}" if pair else name


def _maps(before: Ruleset, after: Ruleset) -> Iterator[Change]:
    for name in _ordered(before.elements, after.elements):
        old, new = before.elements.get(name, {}), after.elements.get(name, {})
        if old is not new and old != new:
            yield Change("maps", name, _sorted_diff(_pairs(old), _pairs(new)))


def _pairs(elements: Mapping[str, str]) -> list[str]:
    return [f"{key} : {value}" if value else key for key, value in elements.items()]


# --- files and services -------------------------------------------------------------------------------------------


def _files(before: Iterable[ConfigFile], after: Iterable[ConfigFile]) -> Iterator[Change]:
    old, new = ({file.path: file for file in files} for files in (before, after))
    for path in _ordered(old, new):
        file = new.get(path)
        texts = (found.text.splitlines() if found else [] for found in (old.get(path), file))
        takes = f"{file.service} {_TAKES[file.reload]}" if file and file.service else ""
        yield Change("files", path, _unified(*texts), takes if file else "no longer used")


def _services(before: Mapping[str, bool], after: Mapping[str, bool]) -> Iterator[Change]:
    for name in _ordered(before, after):
        was, shall = (bool(services.get(name)) for services in (before, after))
        if was != shall:
            yield Change("services", name, ("+ runs" if shall else "- runs",), "is started" if shall else "is stopped")


# --- values -------------------------------------------------------------------------------------------------------


def _values(before: View, after: View) -> Iterator[Change]:
    parts: tuple[tuple[str, Callable[[Plan], Iterable[object]]], ...] = (
        ("links", lambda plan: plan.links),
        ("addresses", lambda plan: plan.addresses),
        ("routes", lambda plan: plan.routes),
        ("policy rules", lambda plan: plan.rules),
        ("neighbours", lambda plan: plan.neighbours),
        ("sysctls", lambda plan: (f"{key} = {value}" for key, value in plan.sysctls)),
        ("connections", lambda plan: plan.flows),
        ("probes", lambda plan: plan.probes.families if plan.probes else ()),
    )
    for part, values in parts:
        old, new = ((_words(value, view.devices) for value in values(view.plan)) for view in (before, after))
        yield Change(part, "", _sorted_diff(old, new))


def _words(value: Any, devices: Mapping[int, str]) -> str:
    """A value of `model` or `desired` in one line: its first field bare, the others that say something by name."""
    if not is_dataclass(value):
        return str(value)
    words = []
    for field in fields(value):
        held = getattr(value, field.name)
        if held == field.default or field.name == "protocol":
            continue
        if field.name in {"index", "parent"}:
            words.append(f"on {devices.get(held, f'link {held}')}")
        else:
            words.append(f"{field.name} {_word(held)}" if words else _word(held))
    return " ".join(words)


def _word(held: object) -> str:
    if isinstance(held, tuple | frozenset):
        return ", ".join(sorted(map(_word, held)))
    return str(held)


# --- lines --------------------------------------------------------------------------------------------------------


def _ordered(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return list(dict.fromkeys([*after, *before]))


def _sorted_diff(before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    old, new = set(before), set(after)
    return (*(f"- {line}" for line in sorted(old - new)), *(f"+ {line}" for line in sorted(new - old)))


def _unified(before: list[str], after: list[str]) -> tuple[str, ...]:
    if before == after:
        return ()
    lines = list(unified_diff(before, after, lineterm="", n=CONTEXT))[2:]
    return tuple("@@" if line.startswith("@@") else f"{line[0]} {line[1:]}" for line in lines)[1:]
