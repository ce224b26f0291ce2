"""The rules for people: each in words, and how often it matched (`routerctl rules`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agent.config.rule import Policy, Rule
from agent.config.settings import FIREWALL, Settings
from agent.drivers.counters import Count, CountersError, read_counters

if TYPE_CHECKING:
    from agent.commands import Running

_NOT_SHOWN = {"from", "to", "action"}


def commands(agent: Running) -> dict[str, Callable[[Mapping[str, object]], Awaitable[dict[str, object]]]]:
    """`rules`."""

    async def rules(_: Mapping[str, object]) -> dict[str, object]:
        if agent.place.node != FIREWALL:
            return {"error": "the firewall has the rules: ask in its container"}
        try:
            return document(agent.settings, await read_counters())
        except (CountersError, OSError) as error:
            return {"error": f"the counters cannot be read: {error}"}

    return {"rules": rules}


def document(settings: Settings, counts: Mapping[str, Count]) -> dict[str, object]:
    """Rules and policies in their order, as JSON values. A rule that could not be compiled has no count."""
    return {
        "rules": [_entry(f"rule_{number}", rule, counts) for number, rule in enumerate(settings.rules, 1)],
        "policies": [_entry(f"policy_{number}", rule, counts) for number, rule in enumerate(settings.policies, 1)],
    }


def _entry(name: str, rule: Rule | Policy, counts: Mapping[str, Count]) -> dict[str, object]:
    count = counts.get(name)
    return {
        "name": name,
        "rule": in_words(rule),
        "packets": count.packets if count is not None else None,
        "bytes": count.bytes if count is not None else None,
    }


def in_words(rule: Rule | Policy) -> str:
    """A rule in one line: action, from, to, and what else it says."""
    return " ".join([rule.action, ",".join(rule.from_), "→", ",".join(rule.to), *_details(rule)])


def _details(rule: Rule | Policy) -> Iterator[str]:
    for key in type(rule).model_fields:
        value = getattr(rule, key)
        if key in {"from_", *_NOT_SHOWN} or not value:
            continue
        if key in {"tcp", "udp"}:
            yield f"{key} {','.join(str(p.first) if p.first == p.last else f'{p.first}-{p.last}' for p in value)}"
        elif value is True:
            yield key
        elif key == "limit":
            source = " per source" if value.per_source else ""
            yield f"limit {value.number}/{value.unit} burst {value.burst}{source}"
        elif key == "when":
            yield "in its hours"
        else:
            yield f"{key} {','.join(map(str, value)) if isinstance(value, tuple) else value}"


def rules_text(found: Mapping[str, Any], _: int) -> str:
    """The document as a table: how often, and which rule. Lines are not wrapped: a rule is one line."""
    entries = [*found["rules"], *found["policies"]]
    rows = [(_number(entry["packets"]), _number(entry["bytes"]), entry["name"], entry["rule"]) for entry in entries]
    head = ("connections", "bytes", "name", "rule")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(3)]
    lines = (f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}" for row in (head, *rows))
    return "".join(f"{line}\n" for line in lines)


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
