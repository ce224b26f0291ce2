"""What each counter counts, so that a rule which stays keeps its count, whatever its number becomes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

from agent.config.rule import Policy, Rule
from agent.config.settings import Settings


def counted(settings: Settings) -> tuple[tuple[str, str], ...]:
    """(counter, fingerprint of what it counts): the rule as it is written, whether logged or not.

    Of rules that are the same the first is the first of the next configuration too.
    """
    return (*_numbered("rule", settings.rules), *_numbered("policy", settings.policies))


def _numbered(word: str, rules: tuple[Rule, ...] | tuple[Policy, ...]) -> Iterator[tuple[str, str]]:
    seen: Counter[str] = Counter()
    for number, rule in enumerate(rules, 1):
        text = " ".join(f"{name}={getattr(rule, name)!r}" for name in type(rule).model_fields if name != "log")
        seen[text] += 1
        content = f"{word} {text} {seen[text]}"
        yield f"{word}_{number}", hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
