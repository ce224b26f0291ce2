"""Which configuration a start takes: the node's own file, the one that is to be confirmed, or the last good one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.candidate import digest, first, orphaned
from agent.config import ConfigError
from agent.drivers.config_store import ConfigStore, Kept
from agent.place import Place

HOME = Path(__file__).resolve().parents[2] / "compose" / "router-home.yaml"
OWN = HOME.read_text()
OTHER = OWN.replace("1d70", "1d71")
BROKEN = OWN.replace("1d70::/48", "1d70::1/48")
NOW = 1000.0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "router.yaml").write_text(OWN)
    return Place("firewall", tmp_path / "router.yaml", tmp_path / "state", tmp_path / "run")


def kept(text: str, base: str, before: str | None = None, deadline: float | None = None) -> Kept:
    return Kept(text, "other.yaml", digest(base.encode()), before, "router.yaml" if before else "", deadline)


@pytest.mark.parametrize(
    ("own", "state", "runs"),
    [
        pytest.param(OWN, None, OWN, id="nothing kept"),
        pytest.param(OWN, kept(OTHER, OWN), OTHER, id="confirmed, the file is the same"),
        pytest.param(OWN, kept(OTHER, "before"), OWN, id="confirmed, the file has changed since"),
        pytest.param(OWN, kept(OTHER, OWN, OWN, NOW + 1), OTHER, id="awaited"),
        pytest.param(OWN, kept(OTHER, OWN, OWN, NOW), OWN, id="awaited, too late"),
        pytest.param(OTHER, kept(OTHER, OTHER, OWN, NOW - 1), OWN, id="the file itself was not confirmed"),
        pytest.param(BROKEN, kept(OWN, OWN), OWN, id="the file is broken: the last good one"),
        pytest.param(OWN, kept(BROKEN, OWN), OWN, id="what was kept can be used no more"),
        pytest.param(OWN, kept(BROKEN, OWN, OWN, NOW + 1), OWN, id="what is awaited can be used no more"),
    ],
)
def test_what_a_start_takes(place: Place, own: str, state: Kept | None, runs: str) -> None:
    place.config.write_text(own)
    candidate, keeps, error = first(place, {}, state, NOW)
    assert candidate.text == runs
    assert keeps.text == runs
    assert bool(error) == (own == BROKEN)
    again, _, _ = first(place, {}, keeps, NOW)
    assert again.text == runs, "and so does the next start"


@pytest.mark.parametrize("own", [BROKEN, None])
def test_where_nothing_can_run_the_file_s_error_is_told(place: Place, own: str | None) -> None:
    if own is None:
        place.config.unlink()
    else:
        place.config.write_text(own)
    with pytest.raises(ConfigError, match=r"router\.yaml"):
        first(place, {}, None, NOW)
    with pytest.raises(ConfigError, match=r"router\.yaml"):
        first(place, {}, kept(BROKEN, OWN), NOW)


def test_what_is_kept_comes_back_and_a_deadline_of_another_boot_is_past(tmp_path: Path) -> None:
    state = kept(OTHER, OWN, OWN, NOW + 60)
    ConfigStore(tmp_path / "state").save(state)
    file = tmp_path / "state" / "config.json"
    assert ConfigStore(tmp_path / "state").load() == state
    assert file.stat().st_mode & 0o077 == 0
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "boot": "another"}))
    found = ConfigStore(tmp_path / "state").load()
    assert found is not None
    assert found.deadline == 0.0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"boot": "x", "text": 1, "name": "", "base": ""}', "\x00"])
def test_a_file_that_is_none_of_ours_counts_as_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert ConfigStore(tmp_path).load() is None


def test_a_file_mounted_by_itself_and_replaced_on_the_host_is_known(tmp_path: Path) -> None:
    file, other = tmp_path / "router.yaml", tmp_path / "new"
    file.write_text("a")
    other.write_text("b")
    with file.open() as stream:
        mounted = Path(f"/proc/self/fd/{stream.fileno()}")  # holds on to the file itself, as a mount does
        assert not orphaned(mounted)
        other.replace(file)
        assert orphaned(mounted)
    assert not orphaned(tmp_path / "nothing")
