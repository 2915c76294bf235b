"""Which addresses Tactics may call when operators typed them in: the allow-list of hosts, and of networks behind them.

Against requests forged on our side (OWASP SSRF Prevention Cheat Sheet): an address is read once, by rules so strict that no
two readers of it can differ, and what a name resolves to is checked before anything connects to it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from tactics.errors import BadInput, GatewayError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the IP addresses of a name, for a port."""

MOST_CHARACTERS = 2_048
_MOST_IN_A_NAME = 253  # RFC 1035, 2.3.4
_LAST_PORT = 65_535
DEFAULT_PORTS = {"https": 443, "http": 80}
HOSTS_SETTING = "TACTICS_OUTBOUND_HOSTS"
NETWORKS_SETTING = "TACTICS_OUTBOUND_NETWORKS"
_THEN = "set it, then restart API and workers"

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\\]*)(?P<target>[/?][!-~]*)?", re.ASCII)
_ENTRY = re.compile(r"(?:(?P<scheme>https?)://)?(?P<wild>\*\.)?(?P<authority>[^/?#\\*]+)", re.ASCII)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# What some resolvers read as a number, and so as an IPv4 address: 2130706433, 0x7f.1, 017700000001.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

# IANA IPv4 Special-Purpose Address Registry, multicast, and the one metadata service at a public address (Azure's).
# The list is ours because `is_global` differs between versions of Python.
_SPECIAL_V4 = tuple(
    IPv4Network(one)
    for one in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
)
# Of IPv6 only global unicast is public, and of that not what is for protocols, documentation and 6to4 (Teredo is in the first).
_PUBLIC_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)
_NAT64 = IPv6Network("64:ff9b::/96")


class Blocked(GatewayError):
    """This address may not be called; nothing was sent."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Target:
    """An address in its parts, as they go to the connection: nothing reads the text again. `host` has no brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """What stands in the header Host (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A host of the allow-list; `wild` stands for any name below it."""

    scheme: str
    host: str
    port: int
    wild: bool

    def covers(self, target: Target) -> bool:
        if (self.scheme, self.port) != (target.scheme, target.port):
            return False
        if self.wild:
            return target.host.endswith(f".{self.host}")
        return target.host == self.host


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be called, from the settings."""

    entries: Sequence[_Entry]
    networks: Sequence[Network]

    @classmethod
    def parse(cls, hosts: Iterable[str], networks: Iterable[str]) -> AllowList:
        """Read the two settings.

        Raises:
            BadInput: one of them cannot be read; the text says which part.
        """
        return cls(tuple(map(_entry, hosts)), tuple(map(_network, networks)))

    def target(self, url: str) -> Target:
        """Read an address that may be called, as far as can be told without asking for its name.

        Raises:
            BadInput: it cannot be read or is not allowed; the text says why, and what to set.
        """
        target = _read(url)
        if not any(one.covers(target) for one in self.entries):
            entry = f"http://{target.host_header}" if target.scheme == "http" else target.host_header
            raise BadInput(f"{entry} may not be called: {HOSTS_SETTING} does not have it; {_THEN}", host=target.host)
        literal = _literal(target.host)
        if literal is not None and not self._open(literal):
            raise BadInput(self._refusal(target.host, literal), host=target.host)
        return target

    def check(self, host: str, addresses: Sequence[str]) -> None:
        """Look at everything that a name resolved to.

        Raises:
            Blocked: one of them may not be called; then none is, for the next time it may be the first.
        """
        for one in map(ip_address, addresses):
            if not self._open(one):
                raise Blocked(self._refusal(host, one))

    def _open(self, address: Address) -> bool:
        """Tell whether an address may be called: it is public, or in a network of the setting."""
        inner = _carried(address)
        if any(
            one in network for one in {address, inner} for network in self.networks if one.version == network.version
        ):
            return True
        return _public(inner)

    @staticmethod
    def _refusal(host: str, address: Address) -> str:
        where = host if host == str(address) else f"{host} is at {address}, which"
        return (
            f"{where} is not a public address: {NETWORKS_SETTING} has to have its network, if it is meant to be called; "
            f"{_THEN}"
        )


def _carried(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 address stands for on the way (RFC 4291 mapped, RFC 6052 NAT64), else itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else address


def _public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in one for one in _SPECIAL_V4)
    return address in _PUBLIC_V6 and not any(address in one for one in _SPECIAL_V6)


def _read(url: str) -> Target:
    if len(url) > MOST_CHARACTERS:
        raise BadInput(f"an address is at most {MOST_CHARACTERS} characters long")
    found = _URL.fullmatch(url)
    if found is None:
        raise BadInput(
            "an address looks like https://host/path: visible ASCII, without # and \\; other names are written as xn--…"
        )
    scheme = found["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise BadInput("an address begins with https://, or http:// where the allow-list says so")
    if "@" in found["authority"]:
        raise BadInput("an address has no user or password in it")
    host, port = _split(found["authority"])
    target = found["target"] or "/"
    return Target(scheme, host, port or DEFAULT_PORTS[scheme], target if target.startswith("/") else f"/{target}")


def _split(authority: str) -> tuple[str, int | None]:
    """Read `host` or `host:port`; a host has one spelling only."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise BadInput(
            "the host of an address is a name in ASCII (other names are written as xn--…), with a port of 1 to 65535 if any"
        )
    port = int(found["port"]) if found["port"] else None
    if port is not None and port > _LAST_PORT:
        raise BadInput("a port is a number of 1 to 65535")
    host = found["host"].lower()
    if host.startswith("["):
        return _v6(host[1:-1]), port
    labels = host.split(".")
    if len(host) > _MOST_IN_A_NAME or not all(_LABEL.fullmatch(one) for one in labels):
        raise BadInput("the host of an address is a name of labels with full stops between them, and none at its end")
    if _NUMBER.fullmatch(labels[-1]) and _literal(host) is None:
        raise BadInput("an IPv4 address is written as four decimal numbers")
    return host, port


def _v6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise BadInput("what stands in brackets is no IPv6 address") from None


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _entry(text: str) -> _Entry:
    found = _ENTRY.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{HOSTS_SETTING} has {text!r}, which is no host")
    try:
        host, port = _split(found["authority"])
    except BadInput as error:
        raise BadInput(f"{HOSTS_SETTING} has {text!r}: {error.message}") from None
    if found["wild"] and _literal(host) is not None:
        raise BadInput(f"{HOSTS_SETTING} has {text!r}: there are no names below an IP address")
    scheme = found["scheme"] or "https"
    return _Entry(scheme, host, port or DEFAULT_PORTS[scheme], bool(found["wild"]))


def _network(text: str) -> Network:
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise BadInput(f"{NETWORKS_SETTING} has {text!r}: {error}") from None
