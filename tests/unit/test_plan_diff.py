"""What `routerctl diff` shows: every part that differs, in few lines, and nothing where nothing differs."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.candidate import Candidate, read_candidate
from agent.config import load
from agent.offline import assumed_state
from agent.place import Place
from agent.plan_diff import Change, View, changes
from agent.plan_diff_text import changes_text

HOME = Path(__file__).resolve().parents[2] / "compose" / "router-home.yaml"
TEXT = HOME.read_text()
STATE = assumed_state(load(HOME, {}), "firewall")


def candidate(text: str) -> Candidate:
    return read_candidate(Place("firewall", HOME, HOME.parent, HOME.parent), {}, text.encode(), "new.yaml")


def view(text: str) -> View:
    return candidate(text).view(STATE, 0.0)


def edited(old: str, new: str) -> tuple[Change, ...]:
    assert old in TEXT
    return changes(view(TEXT), view(TEXT.replace(old, new, 1)))


def test_nothing_differs_from_itself() -> None:
    assert changes(view(TEXT), view("# a comment\n" + TEXT)) == ()
    assert "Nothing changes" in changes_text((), 80)


def test_a_reservation_is_a_few_lines_of_one_file_and_no_restart() -> None:
    new = 'hosts:\n  tv: { network: home, mac: "02:00:00:00:10:07", ipv4: 10.10.0.7 }\n'
    (change,) = edited("hosts: ", new + "  #")
    assert (change.part, change.name) == ("files", "kea-dhcp4.conf")
    assert change.note == "kea-dhcp4 reads it again, without a restart"
    added = [line for line in change.lines if line[0] == "+"]
    assert any("10.10.0.7" in line for line in added)
    assert len(added) <= 7
    assert not any(line[0] == "-" for line in change.lines)


def test_a_rule_before_others_is_one_line_of_its_pair_of_zones() -> None:
    found = edited("rules:\n", "rules:\n  - { from: home, to: iot, tcp: 80, action: drop }\n")
    (change,) = (change for change in found if change.part == "rules" and change.name == "home → iot")
    assert [line for line in change.lines if line[0] in "+-"] == [
        line for line in change.lines if "tcp dport 80" in line
    ]
    assert all("home → iot" in change.name for change in found if change.part == "rules"), "no other rule is touched"


def test_an_address_names_its_device() -> None:
    found = edited("ipv4: 10.10.0.0/24", "ipv4: 10.10.0.254/24")
    (change,) = (change for change in found if change.part == "addresses")
    assert change.lines == ("- on home ip 10.10.0.1/24", "+ on home ip 10.10.0.254/24")


def test_maps_services_and_values() -> None:
    before = view(TEXT)
    ruleset = replace(before.ruleset, elements={"choice4": {'"home"': "0x1"}})
    plan = replace(before.plan, services={"radvd": False}, sysctls=(("a", "1"),))
    after = View(plan, ruleset, (), before.devices)
    found = {(change.part, change.name): change for change in changes(before, after)}
    assert found["maps", "choice4"].lines == ('+ "home" : 0x1',)
    assert found["services", "radvd"].note == "is stopped"
    assert "+ a = 1" in found["sysctls", ""].lines
    assert found["files", "radvd.conf"].note == "no longer used"


@given(
    st.lists(st.lists(st.text("ab {},:", max_size=200), max_size=4), max_size=3),
    st.integers(20, 200),
)
def test_any_change_fits_the_terminal(texts: list[list[str]], width: int) -> None:
    listed = [Change("files", "x", tuple(f"+ {line}" for line in lines)) for lines in texts]
    longest = max((len(word) for lines in texts for line in lines for word in line.split()), default=0)
    indents = max((len(line) - len(line.lstrip()) for lines in texts for line in lines), default=0)
    shown = changes_text([asdict(change) for change in listed], width)
    assert all(len(line) <= max(width, 40, longest + indents + 8) for line in shown.splitlines())


@pytest.mark.parametrize("name", ["router-home.yaml", "router-hoster.yaml"])
def test_from_nothing_to_everything_and_back(name: str) -> None:
    settings = load(HOME.with_name(name), {})
    state = assumed_state(settings, "firewall")
    place = Place("firewall", HOME.with_name(name), HOME.parent, HOME.parent)
    full = read_candidate(place, {}, HOME.with_name(name).read_bytes(), name).view(state, 0.0)
    empty = View(replace(full.plan, routes=frozenset(), files=()), replace(full.ruleset, skeleton=""), (), {})
    for before, after, sign in ((empty, full, "+"), (full, empty, "-")):
        signs = {line[0] for change in changes(before, after) for line in change.lines}
        assert signs <= {sign, " ", "@"}
