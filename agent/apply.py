"""Makes a plan true: the steps of an apply, in the order that keeps packets right (design.md, rules of the loop).

What closes in nft, then target addresses and routes, then the nft element that moves traffic, then the flows that must
end, then old routes away, then daemon files, then publish: only what was applied.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.desired import Plan, Problem, Publication, Ruleset, Table
from agent.desired.names import Names
from agent.drivers.bus import Bus
from agent.drivers.conntrack import Conntrack
from agent.drivers.daemon import Daemons
from agent.drivers.memory import MemoryStore
from agent.drivers.neighbours import NeighbourProxy
from agent.drivers.nft import Nft, whole
from agent.drivers.passwords import write_passwords
from agent.drivers.reset import Resetter
from agent.drivers.route import RouteDriver, Wanted
from agent.drivers.sysctl import Sysctl
from agent.hold import hold, unrouted
from agent.model import Memory
from agent.reconcile import Context, PartError, Status, Step
from agent.render import render_file, render_ruleset
from agent.render.nft_ended import render_ended
from agent.status import fingerprint, publications

# The services that need the files of `zones`.
OF_ZONES = frozenset({"named", "kea-dhcp-ddns"})


async def _nothing() -> None:
    pass


@dataclass(slots=True)
class Applier:
    """The drivers, and what each was last given where that saves work."""

    nft: Nft
    route: RouteDriver
    sysctl: Sysctl
    conntrack: Conntrack
    daemons: Daemons
    store: MemoryStore
    bus: Bus
    now: Callable[[], float]
    resetter: Resetter = field(default_factory=Resetter)
    status: Mapping[str, Status] = field(default_factory=dict)
    problems: Callable[[], tuple[Problem, ...]] = tuple
    remember: Callable[[Memory], None] = lambda _: None
    probe: Callable[[Plan], None] = lambda _: None
    neighbours: NeighbourProxy = field(default_factory=NeighbourProxy)
    solicit: Callable[[str], None] = lambda _: None
    prepare_names: Callable[[Names], None] = lambda _: None
    keep_names: Callable[[Names, bool], None] = lambda *_: None
    published_names: Callable[[], Mapping[str, object]] = dict
    resync: Callable[[], Awaitable[None]] = _nothing
    users_file: Path | None = None
    _table: Table | None = None
    _ruleset: Ruleset = Ruleset("")
    _applied: Ruleset | None = None
    _held: bool = False
    _routed: tuple[object, str] = (None, "")
    _facts: tuple[Publication, ...] = ()
    _statuses: tuple[Publication, ...] = ()

    def steps(self) -> tuple[Step, ...]:
        """In order. The part names are those of `status/<part>` and `routerctl status`.

        A route that cannot be set holds back what would move traffic there (`agent.hold`), and nothing else.
        """
        moved = frozenset({"nft"})
        return (
            Step("close", self._close),
            # First: an address of IPv6 is refused on a link that a container engine made with disable_ipv6.
            Step("sysctl", self._write_sysctls, inputs=_links),
            Step("route", self._add),
            Step("nft", self._move),
            Step("neighbours", self._answer, inputs=lambda context: context.plan.proxied),
            Step("probe", self._probe, inputs=lambda context: (context.plan.probes, context.plan.watch)),
            Step("flows", self._end_flows, needs=moved, inputs=lambda context: (context.plan.flows, self._held)),
            Step("old-routes", self._remove, needs=frozenset({"route", "nft"})),
            Step("broker", self._broker, inputs=lambda _: self.users_file),
            Step("zones", self._zones, inputs=lambda context: context.plan.names.local),
            Step("daemons", self._daemons, inputs=_daemons),
            Step("dns", self._keep_names, needs=moved, inputs=lambda context: context.plan.names),
            Step("bus", self._publish, needs=moved),
            # Last: it waits for the disk.
            Step("memory", self._remember, inputs=lambda context: context.plan.memory),
            Step("listing", self._settle, once_quiet=True, patient=True),
            Step("daemons", self._prove, once_quiet=True, patient=True),
            Step("peers", self._keep_peers, once_quiet=True),
            Step("bus", self._publish_status, once_quiet=True),
        )

    async def aclose(self) -> None:
        """Close sockets and threads; nothing that was applied is undone."""
        self.neighbours.close()
        await self.nft.aclose()
        await self.route.aclose()

    async def check(self, ruleset: Ruleset) -> None:
        """Try rules without effect, unless they are those of the last apply but for elements. NftError."""
        if ruleset.skeleton != self._ruleset.skeleton:
            await self.nft.check(whole(ruleset))

    async def _close(self, context: Context) -> None:
        if context.full and context.before is not None:
            await self.resync()  # what it finds comes as an event, for the next turn
            if not await self.nft.verify():
                self.nft.forget()
        if context.plan.nft is not self._table and context.plan.nft != self._table:
            self._ruleset = render_ruleset(context.plan.nft)
        self._table = context.plan.nft
        await self.nft.close(self._ruleset)

    async def _add(self, context: Context) -> None:
        await self.route.add(_wanted(context.plan), context.state)

    async def _write_sysctls(self, context: Context) -> None:
        for key in self.sysctl.apply(context.plan.sysctls):
            # An advertisement that came before this was set told the kernel no route.
            if key.endswith("/accept_ra_rt_info_max_plen"):
                self.solicit(key.split("/")[-2])

    async def _move(self, context: Context) -> None:
        target = self._ruleset
        if "route" in context.failed and self._applied is not None:
            target = hold(target, self._applied, unrouted(context.plan, context.state))
        self._held = target != self._ruleset
        await self.nft.apply(target)
        self._applied = target

    async def _answer(self, context: Context) -> None:
        self.neighbours.apply(context.plan.proxied)

    async def _probe(self, context: Context) -> None:
        self.probe(context.plan)

    async def _end_flows(self, context: Context) -> None:
        """What still arrives of the connections that end is rejected from before they do; then hosts are told."""
        if self._held:
            raise PartError("connections stay as they are until the routes of their new uplink can be set")
        ended = await self.conntrack.tcp(context.plan.flows)
        try:
            if ended:
                await self.nft.load(render_ended(ended))
        finally:
            await self.conntrack.end(context.plan.flows)
        await self.resetter.provoke(ended)

    async def _remove(self, context: Context) -> None:
        await self.route.remove(_wanted(context.plan), context.state)

    async def _broker(self, _: Context) -> None:
        """Mosquitto's password file is hashed by its driver: no plan and no renderer ever sees a password."""
        if self.users_file is None:
            return
        changed = write_passwords(self.users_file, self.daemons.etc / "mosquitto" / "passwd")
        if changed and await self.daemons.control.started("mosquitto"):
            await self.daemons.control.signal("mosquitto", "HUP")

    async def _daemons(self, context: Context) -> None:
        files = [render_file(document) for document in context.plan.files]
        services = context.plan.services
        if "zones" in context.failed:
            # What reads the zones stays as it is: the last good text has all it names.
            files = [file for file in files if file.service not in OF_ZONES]
            services = {name: wanted for name, wanted in services.items() if name not in OF_ZONES}
        await self.daemons.apply(files, services, full=context.retry)

    async def _zones(self, context: Context) -> None:
        try:
            self.prepare_names(context.plan.names)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise PartError(f"the zones of names cannot be made: {why}", "make room where the state is kept") from None

    async def _keep_names(self, context: Context) -> None:
        if not self._held:
            self.keep_names(context.plan.names, context.full)  # what was applied, never a wish

    async def _remember(self, context: Context) -> None:
        if context.plan.memory != context.state.memory:
            self.remember(context.plan.memory)
        self.store.save(context.plan.memory)

    async def _publish(self, context: Context) -> None:
        if not self._held:
            self._facts = context.plan.facts  # what was applied, never a wish
        await self.bus.publish((*self._facts, *self._statuses))

    async def _publish_status(self, context: Context) -> None:
        prints = {"nft": fingerprint((self._ruleset.skeleton, self._ruleset.elements, self._ruleset.chains))}
        routed = (context.plan.routes, context.plan.rules)
        if routed != self._routed[0]:  # thousands of them take long to write out
            self._routed = (routed, fingerprint(sorted(map(repr, (*context.plan.routes, *context.plan.rules)))))
        prints["route"] = self._routed[1]
        prints |= {part: fingerprint(records) for part, records in self.published_names().items()}
        self._statuses = publications(self.status, self.problems(), prints)
        await self.bus.publish((*self._facts, *self._statuses))

    async def _settle(self, _: Context) -> None:
        await self.nft.settle()

    async def _prove(self, _: Context) -> None:
        await self.daemons.prove()

    async def _keep_peers(self, context: Context) -> None:
        if context.state.peers:
            self.store.save_peers(context.state.peers, self.now())


def _links(context: Context) -> object:
    """A link that returned under a new index has the kernel's defaults again, under the same name."""
    return context.plan.sysctls, frozenset((link.index, link.name) for link in context.state.links.values())


def _daemons(context: Context) -> object:
    return context.plan.files, context.plan.services, "zones" in context.failed


def _wanted(plan: Plan) -> Wanted:
    return Wanted(plan.links, plan.addresses, plan.routes, plan.rules, plan.neighbours)
