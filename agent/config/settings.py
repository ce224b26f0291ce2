"""The root of the configuration, and what follows from it for the plans."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.config import delegation, plan6
from agent.config.address_list import AddressList
from agent.config.base import Many
from agent.config.bus import Bus
from agent.config.dns import Dns
from agent.config.firewall import Firewall
from agent.config.forward import Forward
from agent.config.host import DockerHost, Host
from agent.config.log import Log
from agent.config.network import Network
from agent.config.preference import Failback, Preference
from agent.config.rule import Policy, Rule
from agent.config.site import Site
from agent.config.uplink import DynamicIPv6, StaticUplink, Uplink, WireguardUplink

FIREWALL = "firewall"
INTERNET = "internet"
ANY = "any"
Role = Literal["ingress", "firewall", "docker-host"]


class Settings(BaseSettings):
    """The whole router, as one file says it. Mappings keep the order of the file."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    site: Site = Field(description="what the whole router is")
    bus: Bus = Field(description="the backstage bus")
    firewall: Firewall = Field(default=Firewall.model_construct(trunk=None), description="the firewall's NIC")
    networks: Mapping[str, Network] = Field(default={}, description="zones and interfaces, by name")
    uplinks: Mapping[str, Uplink] = Field(default={}, description="ingresses, by name of their node")
    docker_hosts: Mapping[str, DockerHost] = Field(default={}, description="VMs that run containers, by name")
    hosts: Mapping[str, Host] = Field(default={}, description="machines, by name")
    lists: Mapping[str, AddressList] = Field(default={}, description="addresses under a name, for rules")
    rules: Many[Rule] = Field(default=(), description="first match wins; what no rule names is dropped")
    policies: Many[Policy] = Field(default=(), description="what is done with what no rule names, where not dropped")
    forwards: Mapping[str, Forward] = Field(default={}, description="port forwards of IPv4, by name")
    dns: Dns = Field(default=Dns.model_construct(), description="names for the networks")
    log: Log = Field(default=Log.model_construct(level="info", format="auto"), description="logging of the agents")

    _base_dir: Path = PrivateAttr(default=Path())
    # What follows from the settings and is asked for often, where there are thousands.
    _machines: dict[str, plan6.Machine | None] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the loader hands in: it reads the environment itself, since a misspelt name must be an error."""
        return (init_settings,)

    # --- files ---

    @property
    def base_dir(self) -> Path:
        """The directory of the configuration file."""
        return self._base_dir

    def path(self, path: Path) -> Path:
        """A path of the configuration, made relative to the configuration file."""
        return self._base_dir / path

    # --- nodes ---

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes of the bus: the firewall, the uplinks, the docker hosts."""
        return (FIREWALL, *self.uplinks, *self.docker_hosts)

    def role(self, node: str) -> Role:
        """What a node is. LookupError names the nodes there are."""
        if node == FIREWALL:
            return "firewall"
        if node in self.uplinks:
            return "ingress"
        if node in self.docker_hosts:
            return "docker-host"
        raise LookupError(f"no node `{node}` in the configuration; there are {', '.join(self.nodes)}")

    # --- networks ---

    @property
    def transit_name(self) -> str | None:
        """The name of the transit network (DMZ); None only where there is no uplink."""
        return next((name for name, network in self.networks.items() if network.transit), None)

    @property
    def transit(self) -> Network | None:
        """The transit network (DMZ); None only where there is no uplink."""
        return next((network for network in self.networks.values() if network.transit), None)

    def network_prefix(self, name: str) -> IPv6Network | None:
        """The internal /64 of a network: the one numbered by `subnet` within `site.prefix`."""
        return plan6.numbered(self.site.prefix, self.networks[name].subnet)

    def firewall_address6(self, name: str) -> IPv6Interface | None:
        """The firewall's address in a network's /64: ::1."""
        prefix = self.network_prefix(name)
        return IPv6Interface((int(prefix.network_address) + 1, plan6.NETWORK_LENGTH)) if prefix else None

    def networks_by_priority(self) -> tuple[str, ...]:
        """Networks that take a /64 of an ISP's prefix, first served first; the transit network never does."""
        takers = (n for n, network in self.networks.items() if network.subnet is not None and not network.transit)
        return tuple(sorted(takers, key=lambda name: (self.networks[name].priority, name)))

    def delegation_pool(self, name: str) -> IPv6Network | None:
        """The part of `site.prefix` that a network's routers downstream are delegated from; None where none are."""
        return self.delegation_pools.get(name)

    @cached_property
    def delegation_pools(self) -> Mapping[str, IPv6Network]:
        """Network → that part, of each network with `dhcp6.delegate`: no network, VM or uplink has an address there.

        By default the last free part that has room for 16 delegations, less where the plan is small. Networks take
        turns by the number of their `subnet`. One that finds no room is missing.
        """
        wanted = sorted((n.subnet or 0, name) for name, n in self.networks.items() if n.dhcp6.delegate is not None)
        if not wanted:
            return {}
        statics = (u.ipv6.address.ip for u in self.uplinks.values() if isinstance(u, StaticUplink) and u.ipv6)
        used = (*map(self.network_prefix, self.networks), *map(self.docker_prefix, self.docker_hosts))
        taken = [*(prefix for prefix in used if prefix is not None), *map(IPv6Network, statics)]
        lengths = {name: self.networks[name].dhcp6.delegate or 0 for _, name in wanted}
        chosen = {name: pool for name in lengths if (pool := self.networks[name].dhcp6.delegate_from) is not None}
        return delegation.pools(self.site.prefix, lengths, chosen, taken)

    # --- uplinks ---

    def uplinks_by_priority(self) -> tuple[str, ...]:
        """All uplinks, best first; ties by name."""
        return tuple(sorted(self.uplinks, key=lambda name: (self.uplinks[name].priority, name)))

    def uplinks_of(self, network: str) -> tuple[str, ...]:
        """The uplinks a network may use, best first. A tunnel never carries the transit network: its own packets."""
        return tuple(entry.uplink for entry in self.preferences(network))

    def preferences(self, network: str) -> tuple[Preference, ...]:
        """The same with the weights."""
        found = self.networks[network]
        if found.uplinks is not None:
            return found.uplinks
        tunnels = {name for name, uplink in self.uplinks.items() if isinstance(uplink, WireguardUplink)}
        listed = self.uplinks_by_priority()
        return tuple(Preference(name) for name in listed if not (found.transit and name in tunnels))

    def failback(self, network: str) -> tuple[Failback, float | None]:
        """What happens when a better uplink returns, and after how many seconds `soft` ends what was left behind."""
        found = self.networks[network]
        limit = found.failback_limit if found.failback_limit is not None else self.site.failback_limit
        return found.failback or self.site.failback, limit

    def delegation_hint(self, uplink: str) -> int | None:
        """The prefix length to ask for, None for no request: `delegation`, by default the length of `site.prefix`."""
        ipv6 = self.uplinks[uplink].ipv6
        if not isinstance(ipv6, DynamicIPv6) or ipv6.delegation == "none":
            return None
        return ipv6.delegation or self.site.prefix.prefixlen

    # --- hosts ---

    def host_network(self, name: str) -> str:
        """The network a host lives in; that of its docker host for a container."""
        host = self.hosts[name]
        return host.network if host.network is not None else self.docker_hosts[host.docker_host or ""].network

    def host_address6(self, name: str) -> IPv6Address | None:
        """A host's internal IPv6 address: its network's /64 and its suffix, or its docker host's /80 and its suffix."""
        host = self.hosts[name]
        if host.suffix is None:
            return None
        prefix = (
            self.docker_containers(host.docker_host) if host.docker_host else self.network_prefix(host.network or "")
        )
        return IPv6Address(int(prefix.network_address) | int(host.suffix)) if prefix else None

    def host_address4(self, name: str) -> IPv4Address | None:
        """A host's IPv4 address."""
        return self.hosts[name].ipv4

    def docker_machine(self, name: str) -> plan6.Machine | None:
        """A docker host's addresses; None where its index does not fit.

        By `prefix` as written, else by `index`: /76s of its network's /64 or of a /64 `site.prefix`, else /64s.
        """
        if name not in self._machines:
            host = self.docker_hosts[name]
            prefix = host.prefix
            if prefix is None and host.index is not None:
                prefix = plan6.machine_prefix(self.site.prefix, self.docker_base(host.network), host.index)
            found = None if prefix is None else plan6.Machine(prefix, host.containers or plan6.containers(prefix))
            self._machines[name] = found
        return self._machines[name]

    def docker_prefix(self, name: str) -> IPv6Network | None:
        """A docker host's prefix, by default a /76: group 5 is index << 4."""
        machine = self.docker_machine(name)
        return machine.prefix if machine else None

    def docker_gateway(self, name: str) -> IPv6Interface | None:
        """The firewall's address towards a docker host, as that sees it: ::1 of its prefix."""
        machine = self.docker_machine(name)
        return machine.gateway if machine else None

    def docker_address(self, name: str) -> IPv6Address | None:
        """A docker host's own address: ::2 of its prefix."""
        machine = self.docker_machine(name)
        return machine.address if machine else None

    def docker_containers(self, name: str) -> IPv6Network | None:
        """The prefix of a docker host's containers, by default a /80: group 5 is index << 4 | 1."""
        machine = self.docker_machine(name)
        return machine.containers if machine else None

    def docker_base(self, network: str) -> IPv6Network | None:
        """The /64 that a network's docker hosts are numbered in; None where each has a /64 of its own."""
        prefix = self.network_prefix(network)
        return prefix or (self.site.prefix if self.site.prefix.prefixlen == plan6.NETWORK_LENGTH else None)

    # --- forwards ---

    def uplinks_of_forward(self, name: str) -> tuple[str, ...]:
        """The uplinks where a forward is open."""
        listed = self.forwards[name].uplinks
        return listed if listed is not None else self.uplinks_by_priority()

    def forwards_of(self, uplink: str) -> Mapping[str, Forward]:
        """The forwards of one uplink."""
        return {name: forward for name, forward in self.forwards.items() if uplink in self.uplinks_of_forward(name)}
