"""Every set by which a rule drops is known as such to the driver: it must not lack elements before others come."""

from __future__ import annotations

import re

import pytest

from agent.desired import Ruleset
from agent.plan.firewall import plan_firewall
from agent.render import render_ruleset
from tests.golden import firewall_cases, ingress_cases

# Not `!= @set`, which an element that goes closes.
DROPS = re.compile(r"^.*[^=\n] @(\S+) [^\n]*\b(?:drop|reject)\b.*$", re.MULTILINE)
# Rules permit by these, too: what goes is closed first. An uplink's own addresses; the MACs of docker hosts.
BOTH = re.compile(r"own[46]|macs_.*|asking_.*")


def missing(ruleset: Ruleset) -> set[str]:
    chains = "\n".join(line for lines in ruleset.chains.values() for line in lines)
    drops = set(DROPS.findall(f"{ruleset.skeleton}\n{chains}")) & set(ruleset.elements)
    return {name for name in drops - ruleset.forbidding if not BOTH.fullmatch(name)}


@pytest.mark.parametrize("name", sorted(ingress_cases.cases()))
def test_of_an_ingress(name: str) -> None:
    ruleset = render_ruleset(ingress_cases.cases()[name].plan.nft)
    assert missing(ruleset) == set()
    assert "reserved6" in ruleset.forbidding


@pytest.mark.parametrize("name", sorted(firewall_cases.cases()))
def test_of_the_firewall(name: str) -> None:
    case = firewall_cases.cases()[name]
    assert missing(render_ruleset(plan_firewall(case.settings, case.state, firewall_cases.NOW).nft)) == set()
