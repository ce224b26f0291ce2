"""The composition root: settings, drivers, the loop, signals. Only this module sees everything."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Mapping
from functools import partial

import structlog

from agent import events as ev
from agent.apply import Applier
from agent.commands import answer, table
from agent.config import ConfigError, Settings, load
from agent.desired import Plan, Problem
from agent.drivers.bus import Bus, BusError
from agent.drivers.clock import watch_clock
from agent.drivers.conntrack import Conntrack, ConntrackError
from agent.drivers.control import serve
from agent.drivers.daemon import DaemonError, Daemons
from agent.drivers.dinit import Dinit, DinitError
from agent.drivers.lease import read_leases
from agent.drivers.lists import Lists
from agent.drivers.local_time import utc_offset, watch_offset
from agent.drivers.memory import MemoryStore
from agent.drivers.netlink import NetlinkWatcher
from agent.drivers.nft import Nft, NftError
from agent.drivers.passwords import PasswordsError
from agent.drivers.probe import Prober, Watcher
from agent.drivers.reset import ResetError
from agent.drivers.route import RouteDriver, RouteError
from agent.drivers.solicit import Solicitor
from agent.drivers.sysctl import Sysctl, SysctlError
from agent.model import State
from agent.nodes import FIREWALL, planner_for
from agent.place import Place, bus_config, list_sources, node_info, users_file
from agent.reconcile import PartError, Reconciler, Status
from agent.reduce import reduce
from agent.status import other_configurations

log = structlog.get_logger(__name__)

EVERY_LEASE = 60.0


class BoottimeClock:
    """CLOCK_BOOTTIME and the real queue."""

    def now(self) -> float:
        """Seconds since boot, sleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def get(self, queue: asyncio.Queue[ev.Event], wait: float | None) -> ev.Event | None:
        """The next event, or None after `wait` seconds."""
        if not queue.empty():
            return queue.get_nowait()
        try:
            async with asyncio.timeout(wait):
                return await queue.get()
        except TimeoutError:
            return None


class Agent:
    """One running agent."""

    def __init__(self, place: Place, settings: Settings, environ: Mapping[str, str]) -> None:
        self.place = place
        self._environ = environ
        self._clock = BoottimeClock()
        self._store = MemoryStore(place.state, settings.site.name)
        self._netlink = NetlinkWatcher()
        self._bus = Bus(bus_config(settings, place.node))
        self._dinit = Dinit()
        self._lists = Lists(place.state / "lists.json")
        self._prober, self._watcher = Prober(self._clock.now), Watcher()
        self._applier = Applier(
            nft=Nft(run_dir=place.run),
            route=RouteDriver(),
            sysctl=Sysctl(),
            conntrack=Conntrack(),
            daemons=Daemons(place.run / "etc", place.run / "good", self._dinit, (DinitError, OSError)),
            store=self._store,
            bus=self._bus,
            now=self._clock.now,
            probe=self._probe,
            solicit=Solicitor().ask,
            resync=self._netlink.resync,
        )
        self._configure(settings)
        self.loop = Reconciler(
            plan=planner_for(settings, place.node),
            steps=self._applier.steps(chooses=place.node == FIREWALL),
            clock=self._clock,
            on_ready=partial(_notify_ready, environ),
            essential=frozenset({"route", "nft"} if place.node == FIREWALL else {"nft"}),
            errors=(
                PartError,
                BusError,
                NftError,
                RouteError,
                SysctlError,
                ConntrackError,
                ResetError,
                DaemonError,
                DinitError,
                PasswordsError,
                OSError,
            ),
        )
        self._applier.status = self.loop.status
        self._applier.problems = self.problems
        self._applier.remember = lambda memory: self.loop.emit(ev.Remembered(memory))

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Exit tears nothing down."""
        self._recall(flowtable=await self._applier.nft.has_flowtables())
        stop = asyncio.Event()
        running = asyncio.get_running_loop()
        running.add_signal_handler(signal.SIGTERM, stop.set)
        running.add_signal_handler(signal.SIGINT, stop.set)
        running.add_signal_handler(signal.SIGHUP, self.reload)
        log.info("agent starts", node=self.place.node, config=str(self.place.config))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._netlink.watch(self.loop.emit), name="netlink"),
                group.create_task(self._bus.run(self.loop.emit), name="bus"),
                group.create_task(serve(self.place.run / "agent.sock", partial(answer, table(self))), name="control"),
                group.create_task(self._watch_leases(), name="leases"),
                group.create_task(self._prober.run(self.loop.emit), name="prober"),
                group.create_task(self._watcher.run(self.loop.emit), name="watcher"),
                group.create_task(self._lists.run(self.loop.emit), name="lists"),
                group.create_task(watch_offset(self._zone, self._offset, self.loop.emit), name="local time"),
                group.create_task(watch_clock(self._bus.republish), name="clock"),
                group.create_task(self.loop.run(), name="loop"),
            ]
            await stop.wait()
            log.info("agent stops; what it applied stays", node=self.place.node)
            if self.place.node != FIREWALL and await self._ending():
                log.info("the container ends: its uplink is said to be down")
                self._bus.leave()
            for task in tasks:
                task.cancel()
        await self._applier.aclose()

    async def _ending(self) -> bool:
        try:
            return await self._dinit.ending()
        except DinitError:
            return False  # no dinit: an agent run by hand

    def _recall(self, *, flowtable: bool) -> None:
        now = self._clock.now()
        state = State(memory=self._store.load(), flowtable=flowtable)
        for known in (self._lists.last_good(), ev.LocalTime(utc_offset(self._zone()))):
            state = reduce(state, known, now)
        for received in self._store.load_peers(now):
            event = ev.FactReceived(received.node, received.topic, received.fact, received.until)
            state = reduce(state, event, now)
        self.loop.state = state
        self._bus.remember(state.peers)

    def _zone(self) -> str:
        return self.settings.site.timezone

    def _offset(self) -> int:
        return self.loop.state.utc_offset

    def _probe(self, plan: Plan) -> None:
        self._prober.apply(plan.probes)
        self._watcher.apply(plan.watch)

    async def _watch_leases(self) -> None:
        """The hook pokes; looking from time to time repairs a poke that was lost."""
        while True:
            self.read_leases()
            await asyncio.sleep(EVERY_LEASE)

    def read_leases(self) -> None:
        """Look at the leases that dhcpcd's hook wrote."""
        leases = ev.Leases(read_leases(self.place.run / "leases"))
        known = {(lease.interface, lease.family): lease for lease in leases.leases}
        if known != dict(self.loop.state.leases):
            self.loop.emit(leases)

    def reload(self) -> list[str]:
        """Read the configuration again; one with errors changes nothing that runs. Returns the errors."""
        try:
            settings = load(self.place.config, self._environ)
            planner = planner_for(settings, self.place.node)
        except ConfigError as error:
            self.loop.status["config"] = Status(str(error), "mend the file and reload again", self._clock.now())
            log.error("configuration refused, the running one stays", error=str(error))  # noqa: TRY400 - no bug
            self.loop.emit(ev.Tick())
            return str(error).splitlines()
        self.loop.status["config"] = Status(since=self._clock.now())
        self._configure(settings)
        self.loop.plan = planner
        self.loop.emit(ev.Tick(resync=True))
        log.info("configuration reloaded")
        return []

    def _configure(self, settings: Settings) -> None:
        """Tell those what the configuration says who do not learn it from a plan."""
        self.settings = settings
        self._info = node_info(settings, self.place.node)
        self._bus.describe(self._info)
        self._applier.users_file = users_file(settings, self.place.node)
        self._lists.configure(list_sources(settings, self.place.node))

    def now(self) -> float:
        """Seconds on CLOCK_BOOTTIME."""
        return self._clock.now()

    def problems(self) -> tuple[Problem, ...]:
        """What a person must know: of the plan, and of nodes that run with another configuration."""
        others = other_configurations(self.loop.state.peers, self.place.node, self._info.config_digest)
        return (*self.loop.problems, *others)


def _notify_ready(environ: Mapping[str, str]) -> None:
    """Tell dinit (ready-notification = pipevar:ROUTER_READY_FD) that the first apply succeeded."""
    log.info("ready: the first plan is applied")
    # What a start has made (the configuration, pydantic's models) stays for ever: the collector need not look at it
    # again in the middle of a prefix change.
    gc.collect()
    gc.freeze()
    descriptor = environ.get("ROUTER_READY_FD", "")
    if not descriptor.isdigit():
        return
    try:
        os.write(int(descriptor), b"ready\n")
        os.close(int(descriptor))
    except OSError as error:
        log.warning("cannot notify readiness", error=str(error))


async def run(environ: Mapping[str, str]) -> None:
    """Run the agent of this container. Raises ConfigError before anything is touched."""
    place = Place.of(environ)
    settings = load(place.config, environ)
    planner_for(settings, place.node)
    place.state.mkdir(parents=True, exist_ok=True)
    place.run.mkdir(parents=True, exist_ok=True)
    await Agent(place, settings, environ).run()
