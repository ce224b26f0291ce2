"""The composition root of firewall and ingress: settings, drivers, the loop, signals. Only it sees everything."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from functools import partial

import structlog

from agent import events as ev
from agent import leases, names_text
from agent.apply import Applier
from agent.boot import BoottimeClock, notify_ready
from agent.commands import answer, table
from agent.config import ConfigError, Settings
from agent.configuration import Configuration
from agent.desired import Plan, Problem
from agent.drivers.bus import Bus, BusError
from agent.drivers.clock import watch_clock
from agent.drivers.conntrack import Conntrack, ConntrackError
from agent.drivers.control import serve
from agent.drivers.daemon import DaemonError, Daemons
from agent.drivers.dinit import Dinit, DinitError
from agent.drivers.kea import KeaSocket
from agent.drivers.kea_leases import HeldLease, KeaLeases
from agent.drivers.lease import read_leases
from agent.drivers.lists import Lists
from agent.drivers.local_time import utc_offset, watch_offset
from agent.drivers.memory import MemoryStore
from agent.drivers.named import forwards_over_tls
from agent.drivers.needs import missing
from agent.drivers.netlink import NetlinkWatcher
from agent.drivers.nft import Nft, NftError
from agent.drivers.passwords import PasswordsError
from agent.drivers.probe import Prober, Watcher
from agent.drivers.reset import ResetError
from agent.drivers.route import RouteDriver, RouteError
from agent.drivers.solicit import Solicitor
from agent.drivers.sysctl import Sysctl, SysctlError
from agent.hearsay import Hearsay
from agent.model import Held, State
from agent.naming import name_keeper
from agent.nodes import FIREWALL
from agent.place import Place, bus_config, dials, list_sources, node_info, users_file
from agent.reconcile import PartError, Reconciler, Status
from agent.reduce import reduce
from agent.start import Start
from agent.status import other_configurations

log = structlog.get_logger(__name__)

EVERY_LEASE = 60.0


class Agent:
    """One running agent."""

    def __init__(self, place: Place, start: Start, environ: Mapping[str, str]) -> None:
        settings = start.candidate.settings
        self.place = place
        self._clock = BoottimeClock()
        self._store = MemoryStore(place.state, settings.site.name)
        self._netlink = NetlinkWatcher()
        self._bus_config = bus_config(settings, place.node)
        self._bus = Bus(self._bus_config)
        self._dinit = Dinit()
        self._lists = Lists(place.state / "lists.json")
        self._served = KeaLeases(place.state / "kea")
        self._prober, self._watcher = Prober(self._clock.now), Watcher()
        self.names = name_keeper(place.state, self._clock.now, self._dinit, self._served)
        self._applier = Applier(
            nft=Nft(run_dir=place.run),
            route=RouteDriver(),
            sysctl=Sysctl(),
            conntrack=Conntrack(),
            daemons=Daemons(place.run / "etc", place.run / "good", self._dinit, (DinitError, OSError), KeaSocket()),
            store=self._store,
            bus=self._bus,
            now=self._clock.now,
            probe=self._probe,
            solicit=Solicitor().ask,
            prepare_names=self.names.prepare,
            keep_names=self.names.apply,
            published_names=self.names.applied,
            resync=self._netlink.resync,
        )
        self._configure(settings)
        self.loop = Reconciler(
            plan=start.candidate.planner,
            steps=self._applier.steps(),
            clock=self._clock,
            on_ready=partial(notify_ready, environ),
            essential=frozenset({"nft"}),
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
        self.configuration = Configuration(
            place,
            environ,
            start.store,
            self.loop,
            self._clock.now,
            adopt=self._configure,
            check=self._applier.check,
            refusals=(ConfigError, NftError, OSError),
            running=start.candidate,
            kept=start.kept,
        )
        if start.error:
            self.loop.status["config"] = Status(start.error, "mend the file; the last good one runs", self.now())
        self._applier.status = self.loop.status
        self._applier.daemons.poke = lambda: self.loop.emit(ev.Tick())
        self._applier.problems = self.problems
        self._applier.remember = lambda memory: self.loop.emit(ev.Remembered(memory))

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Exit tears nothing down."""
        await self._recall()
        stop = asyncio.Event()
        running = asyncio.get_running_loop()
        running.add_signal_handler(signal.SIGTERM, stop.set)
        running.add_signal_handler(signal.SIGINT, stop.set)
        hangups = asyncio.Event()
        running.add_signal_handler(signal.SIGHUP, hangups.set)
        hearsay = Hearsay(self.loop.emit, self._watcher.reach, self._watcher.ask)
        heard = hearsay.hear if self.place.node == FIREWALL else self.loop.emit
        log.info("agent starts", node=self.place.node, config=str(self.place.config))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._netlink.watch(self.loop.emit), name="netlink"),
                group.create_task(self._bus.run(heard), name="bus"),
                group.create_task(
                    serve(
                        self.place.run / "agent.sock",
                        partial(answer, {**table(self), **leases.commands(self), **names_text.commands(self)}),
                    ),
                    name="control",
                ),
                group.create_task(self._watch_leases(), name="leases"),
                group.create_task(self._prober.run(self.loop.emit), name="prober"),
                group.create_task(self._watcher.run(self.loop.emit), name="watcher"),
                group.create_task(self._lists.run(self.loop.emit), name="lists"),
                *(
                    (group.create_task(self._served.watch(self.loop.emit), name="kea leases"),)
                    if self.place.node == FIREWALL
                    else ()
                ),
                group.create_task(self.names.run(lambda: self.loop.emit(ev.Tick())), name="names"),
                group.create_task(watch_offset(self._zone, self._offset, self.loop.emit), name="local time"),
                group.create_task(self.configuration.watch(), name="configuration"),
                group.create_task(self._reload_on(hangups), name="hangup"),
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

    async def _reload_on(self, hangups: asyncio.Event) -> None:
        while await hangups.wait():
            hangups.clear()
            await self.configuration.reload()

    async def _ending(self) -> bool:
        try:
            return await self._dinit.ending()
        except DinitError:
            return False  # no dinit: an agent run by hand

    async def _recall(self) -> None:
        now = self._clock.now()
        named_tls = self.place.node != FIREWALL or await forwards_over_tls()
        flowtable = await self._applier.nft.has_flowtables()
        state = State(memory=self._store.load(), flowtable=flowtable, forwards_tls=named_tls)
        for known in (self._lists.last_good(), self._first_leases(), ev.LocalTime(utc_offset(self._zone()))):
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

    def _first_leases(self) -> ev.Served:
        """Known before the first plan: what leads to delegated prefixes stays over a restart."""
        return self._served.look() if self.place.node == FIREWALL else ev.Served()

    def held_leases(self) -> tuple[HeldLease, ...]:
        """The leases of our own DHCP servers that hold now."""
        return self._served.held()

    def held_prefixes(self) -> tuple[Held, ...]:
        """The global prefixes that hosts may have."""
        return self.loop.state.memory.held

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

    def _configure(self, settings: Settings) -> tuple[str, ...]:
        """Tell those what the configuration says who do not learn it from a plan; what waits for another start."""
        self.settings = settings
        self._info = node_info(settings, self.place.node)
        self._bus.describe(self._info)
        self._applier.users_file = users_file(settings, self.place.node)
        self._lists.configure(list_sources(settings, self.place.node))
        self._needs = missing(ppp=dials(settings, self.place.node))
        for need in self._needs:
            log.error(need.message, hint=need.hint)
        if bus_config(settings, self.place.node) == self._bus_config:
            return ()
        return ("another bus or site: the agent takes it up when it starts again (`dinitctl restart router-agent`)",)

    def now(self) -> float:
        """Seconds on CLOCK_BOOTTIME."""
        return self._clock.now()

    def problems(self) -> tuple[Problem, ...]:
        """What a person must know: what the container lacks, of the plan, nodes that run with another configuration."""
        others = other_configurations(self.loop.state.peers, self.place.node, self._info.config_digest)
        return (*self._needs, *self.loop.problems, *self.names.problems(), *others, *self.configuration.problems())
