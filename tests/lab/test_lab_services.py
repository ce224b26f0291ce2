"""The stand-in for dinit does what dinit-service(5) and dinitctl(8) say, as far as dinit.d relies on it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from tests.lab.lab import Lab
from tests.lab.router import Services
from tests.lab.wait import fastest, wait_for

pytestmark = pytest.mark.lab
StandIn: TypeAlias = Callable[..., Services]
SLEEPER = "type = process\ncommand = sleep 1000\noptions: shares-console\n"


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """Makes a node's services from texts: name → file; `boot` depends on all others unless it is given."""
    with Lab(nodes=["laptop"]) as lab:
        node = lab.nodes["laptop"]

        def make(**texts: str) -> Services:
            directory = node.path("/run/dinit.d")
            directory.mkdir()
            boot = "type = internal\nrestart = no\n" + "".join(f"depends-on: {name}\n" for name in texts)
            for name, text in {"boot": boot, **texts}.items():
                (directory / name).write_text(text if "restart = " in text else f"{text}restart = no\n")
            return Services(node, "/run/dinit.d")

        yield make


def _events(services: Services) -> list[str]:
    return services.log("dinit").splitlines()


def test_dependencies_come_up_first_and_go_down_last(stand_in: StandIn) -> None:
    services = stand_in(
        boot="type = internal\ndepends-on: top\n",
        top=SLEEPER + "depends-on: middle\n",
        middle=SLEEPER + "depends-on: bottom\n",
        bottom="type = scripted\ncommand = echo up\nstop-command = echo down\noptions: shares-console\n",
    )
    services.start()
    services.stop()
    order = ["bottom", "middle", "top", "boot"]
    assert _events(services) == [f"[  OK  ] {n}" for n in order] + [f"[STOPPD] {n}" for n in reversed(order)]
    assert services.log("bottom") == "up\ndown\n"


def test_a_service_is_up_when_it_says_so(stand_in: StandIn) -> None:
    wait = (
        '"until [ -e /run/go ]; do read -t 0.01 x </dev/zero; done; eval \\"echo ready >&\\$READY\\"; exec sleep 1000"'
    )
    services = stand_in(slow=f"type = process\ncommand = bash -c {wait}\nready-notification = pipevar:READY\n")
    services.launch()
    wait_for(lambda: services.dinitctl("is-started", "slow", check=False).stdout == "STARTING\n", 5)
    assert not services.is_started("boot")
    services.node.path("/run/go").touch()
    wait_for(lambda: services.is_started("boot"), 5)


@pytest.mark.parametrize(
    "command", ["true", "sh -c 'exit 3'", '"sh" -c "eval \\"exec \\$READY>&-\\"; exec sleep 1000"']
)
def test_a_service_that_never_says_so_has_failed_and_takes_boot_along(stand_in: StandIn, command: str) -> None:
    services = stand_in(
        boot="type = internal\ndepends-ms: broken\n",
        broken=f"type = process\ncommand = {command}\nready-notification = pipevar:READY\n",
    )
    with pytest.raises(AssertionError, match=r"(?s)\[FAILED\] broken: failed to start.*No more active services"):
        services.start()


def test_a_start_that_takes_too_long_has_failed(stand_in: StandIn) -> None:
    services = stand_in(slow=SLEEPER + "ready-notification = pipevar:READY\nstart-timeout = 0.1\n")
    with pytest.raises(AssertionError, match=r"\[FAILED\] slow: start timed out"):
        services.start()


def test_a_command_that_is_not_there_has_failed(stand_in: StandIn) -> None:
    services = stand_in(missing="type = process\ncommand = no-such-command\n")
    with pytest.raises(AssertionError, match=r"\[FAILED\] missing: could not be launched"):
        services.start()


def test_a_wrong_service_file_is_named(stand_in: StandIn) -> None:
    services = stand_in(wrong=SLEEPER + "reload = yes\n")
    with pytest.raises(AssertionError, match=r"/run/dinit.d/wrong:4: reload: no such setting"):
        services.start()


@pytest.mark.parametrize("smooth", [True, False])
def test_a_crash_is_answered_by_a_start(stand_in: StandIn, *, smooth: bool) -> None:
    recovery = "smooth-recovery = yes\n" if smooth else ""
    services = stand_in(
        boot="type = internal\nwaits-for: upper\nwaits-for: lower\n",
        lower=SLEEPER + recovery + "restart = yes\n",
        upper=SLEEPER + "depends-on: lower\nrestart = yes\n",
    )
    services.start()
    lower, upper = services.pid("lower"), services.pid("upper")
    services.kill("lower")
    wait_for(lambda: services.pid("lower") not in {lower, None}, 5, "a new process")
    wait_for(lambda: services.pid("upper") is not None, 5, "the dependent")
    assert (services.pid("upper") == upper) == smooth


def test_a_service_that_dies_before_it_is_ready_again_is_recovered_again(stand_in: StandIn) -> None:
    """As by dinit, which counts it as started all the time."""
    # Ready at once the first time, later never.
    once = '"[ -e /run/again ] || eval \\"echo ready >&\\$READY\\"; touch /run/again; exec sleep 1000"'
    recovery = "smooth-recovery = yes\nrestart = yes\nrestart-delay = 0.02\nrestart-limit-count = 0\n"
    services = stand_in(
        often=f"type = process\ncommand = bash -c {once}\nready-notification = pipevar:READY\n{recovery}"
    )
    services.start()
    seen = {None, services.pid("often")}
    for _ in range(2):
        services.kill("often")
        wait_for(lambda: services.pid("often") not in seen, 20, "a new process")
        seen.add(services.pid("often"))
    assert services.is_started("often")


def test_a_service_that_keeps_crashing_is_given_up_at_its_limit(stand_in: StandIn) -> None:
    crash = "type = process\ncommand = echo run\noptions: shares-console\nsmooth-recovery = yes\nrestart = yes\n"
    services = stand_in(
        boot="type = internal\nwaits-for: rest\nwaits-for: crash\n",
        rest=SLEEPER,
        crash=crash + "restart-delay = 0.02\nrestart-limit-count = 4\n",
    )
    services.start()
    wait_for(lambda: not services.is_started("crash"), 5)
    assert services.log("crash") == "run\n" * 5
    assert "Service crash restarting too quickly; stopping." in services.log("dinit")
    assert services.is_started("boot")


def test_the_delay_between_two_starts_is_kept_without_a_limit(stand_in: StandIn) -> None:
    crash = "type = process\ncommand = echo run\noptions: shares-console\nsmooth-recovery = yes\nrestart = yes\n"
    services = stand_in(crash=crash + "restart-delay = 0.05\nrestart-limit-count = 0\n")
    started = time.monotonic()
    services.start()
    wait_for(lambda: services.log("crash").count("run") >= 8, 5)
    assert time.monotonic() - started > 7 * 0.05


def test_output_is_discarded_unless_the_service_shares_the_console(stand_in: StandIn) -> None:
    loud = "type = scripted\ncommand = sh -c 'echo heard; echo too >&2'\n".replace("'", '"')
    services = stand_in(loud=loud + "options: shares-console\n", silent=loud)
    services.start()
    assert services.log("loud") == "heard\ntoo\n"
    assert services.log("silent") == ""


def test_stop_reaches_the_whole_process_group_and_kills_what_will_not_end(stand_in: StandIn) -> None:
    services = stand_in(
        boot="type = internal\nwaits-for: plain\nwaits-for: stubborn\n",
        plain=SLEEPER,
        stubborn="type = process\ncommand = sh -c \"trap '' TERM; sleep 1000 & wait; wait\"\nstop-timeout = 0.2\n",
    )
    services.start()
    services.dinitctl("stop", "stubborn")
    assert services.node.output(["pgrep", "-f", "sleep 1000"]).split() == [str(services.pid("plain"))]


def test_dinitctl_speaks_and_exits_as_the_real_one(stand_in: StandIn) -> None:
    services = stand_in(
        boot="type = internal\nwaits-for: upper\n",
        lower=SLEEPER,
        upper=SLEEPER + "depends-on: lower\n",
        extra="type = process\ncommand = sh -c \"trap 'echo hup' HUP; echo trapped; while :; do sleep 0.01; done\"\n"
        "options: shares-console\n",
        broken="type = scripted\ncommand = false\n",
    )
    services.start()

    def ctl(*arguments: str) -> tuple[int, str]:
        result = services.dinitctl(*arguments, check=False)
        return result.returncode, result.stdout + result.stderr

    assert ctl("start", "extra") == (0, "Service 'extra' started.\n")
    assert ctl("start", "extra") == (0, "Service (already) started.\n")
    assert ctl("is-started", "extra") == (0, "STARTED\n")
    assert ctl("--quiet", "-d", "/somewhere", "is-started", "broken") == (1, "STOPPED\n")
    assert ctl("start", "broken") == (1, "Service 'broken' failed to start.\n")
    assert ctl("is-failed", "broken") == (0, "STOPPED\n")
    assert ctl("is-failed", "extra") == (1, "STARTED\n")
    assert "State: STOPPED (failed to start; exited - status 1)" in ctl("status", "broken")[1]
    assert ctl("start", "unknown")[0] == 1
    assert ctl("stop", "lower")[0] == 1
    assert "due to the following dependents:\n  upper\n" in ctl("stop", "lower")[1]
    assert services.is_started("upper")
    assert ctl("stop", "--force", "lower") == (0, "Service 'lower' stopped.\n")
    assert not services.is_started("upper")
    assert services.is_started("boot")
    assert ctl("stop", "--ignore-unstarted", "lower")[0] == 0
    assert ctl("restart", "lower") == (1, "dinitctl: cannot restart service; service not started.\n")
    before = services.pid("extra")
    assert ctl("restart", "extra") == (0, "Service 'extra' stopped.\nService 'extra' started.\n")
    assert services.pid("extra") not in {before, None}
    # Before its trap is set the shell would die of the signal.
    wait_for(lambda: services.log("extra").count("trapped") == 2, 10, "the second life of extra")
    assert ctl("signal", "HUP", "extra")[0] == 0
    wait_for(lambda: "hup" in services.log("extra"), 10)
    assert ctl("signal", "NOISE", "extra")[0] == 1
    assert ctl("dance", "extra")[0] == 1
    listing = services.dinitctl("list").stdout
    assert re.search(r"^\[\[\+\]     \] boot$", listing, re.MULTILINE)
    assert re.search(r"^\[\[\+\]     \] extra \(pid: \d+\)$", listing, re.MULTILINE)
    assert re.search(r"^\[     \{X\}\] broken", listing, re.MULTILINE)


def test_stopping_releases_what_nobody_else_needs(stand_in: StandIn) -> None:
    services = stand_in(
        boot="type = internal\n",
        shared=SLEEPER,
        one=SLEEPER + "depends-on: shared\n",
        two=SLEEPER + "depends-on: shared\n",
    )
    services.start()
    services.dinitctl("start", "one")
    services.dinitctl("start", "two")
    services.dinitctl("stop", "one")
    assert services.is_started("shared")
    services.dinitctl("stop", "two")
    wait_for(lambda: not services.is_started("shared"), 5)


def test_dinitctl_is_quick(stand_in: StandIn) -> None:
    services = stand_in(plain=SLEEPER)
    services.start()
    assert fastest(lambda: services.dinitctl("is-started", "plain")) < 0.03


def test_without_the_stand_in_dinitctl_says_so() -> None:
    with Lab(nodes=["laptop"]) as lab:
        result = lab.nodes["laptop"].run(["dinitctl", "list"], check=False)
        assert result.returncode == 1
        assert result.stderr == "dinitctl: connecting to socket: /run/dinitctl: No such file or directory\n"
