"""Every test of tests/vm/guest as a test of the host: the machine runs once, its results are shown one by one."""

from __future__ import annotations

import pytest

from tests.vm.conftest import CONTAINERS, ENGINE_SECONDS, SECONDS, Results, guest_tests


@pytest.mark.lab
@pytest.mark.timeout(SECONDS + 360)
@pytest.mark.parametrize("name", guest_tests())
def test_in_the_machine(machine: Results, name: str) -> None:
    _show(machine, name)


@pytest.mark.lab
@pytest.mark.timeout(ENGINE_SECONDS + 900)
@pytest.mark.parametrize("name", guest_tests(CONTAINERS))
def test_containers_in_the_machine(engine_machine: Results, name: str) -> None:
    _show(engine_machine, name)


def _show(found: Results, name: str) -> None:
    results = found.get(name)
    assert results, f"{name} left no result"
    failed = [result.text for result in results if result.outcome == "failed"]
    assert not failed, "\n".join(failed)
    if all(result.outcome == "skipped" for result in results):
        pytest.skip(results[0].text)
