"""Which addresses we connect to: a name that a user or a system gave must not lead into the private network.

Each connection resolves its name once, checks every address that came back, and connects to one of exactly those
(no second look-up that a rebinding name server could answer differently). TLS still verifies the name.
Python's own `is_global` lets 6to4 wrap a private address, so what embeds or translates addresses is refused
explicitly.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import typing
from collections.abc import Callable, Collection, Iterable, Sequence

import httpcore
import httpx

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import _

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

_HERE = ipaddress.ip_address("127.0.0.1")
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google, and most others
        "169.254.170.2",  # AWS container credentials
        "169.254.170.23",  # AWS EKS pod identity
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",  # AWS EKS pod identity over IPv6
        "fd20:ce::254",  # Google over IPv6
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's wire server: a public address that is reachable only inside
        "192.0.0.192",  # Oracle
    )
)
_ALWAYS_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "::/96",  # v4-compatible, unspecified; loopback ::1 is in it and handled before
        "::ffff:0:0/96",  # v4-mapped
        "::ffff:0:0:0/96",  # v4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "100::/64",  # discard
        "192.88.99.0/24",  # 6to4 relays
    )
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


class AddressRefused(ConfigError):
    """A name leads to an address that must not be reached."""


def refusal(address: Address, *, allow_private: bool = False) -> str | None:
    """Why `address` must not be reached, or None. `allow_private` lets loopback and private networks through;
    metadata services, link-local, multicast and what wraps another address stay refused."""
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return _("scoped")
    if address in _METADATA:
        return _("metadata service")
    if address.is_loopback:
        return None if allow_private else _("loopback")
    if address.is_unspecified:
        return _("unspecified")
    if address.is_link_local:
        return _("link-local")
    if address.is_multicast:
        return _("multicast")
    if any(address.version == network.version and address in network for network in _ALWAYS_REFUSED):
        return _("wraps or translates another address")
    if not address.is_global:
        return None if allow_private and address.is_private else _("private or reserved")
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return _("not global unicast")  # site-local fec0::/10 passes as global in Python 3.11
    return _("reserved") if address.is_reserved else None


def check_host(host: str, *, allow_private: bool = False) -> None:
    """Raises AddressRefused for addresses that must not be reached and for odd spellings (0x7f.1, 0177.1)."""
    text = host.strip("[]").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        last = text.rsplit(".", 1)[-1]
        if not text or last.isdecimal() or last.startswith("0x"):
            raise AddressRefused(_("%(host)r is not a plain name or address") % {"host": host[:80]}) from None
        if (last == "localhost" or text.endswith(".localhost")) and not allow_private:
            raise AddressRefused(_("%(host)r is this machine") % {"host": host[:80]}, advice=_advice(_HERE)) from None
        return
    if (why := refusal(address, allow_private=allow_private)) is not None:
        raise AddressRefused(
            _("address %(text)s is refused: %(why)s") % {"text": text, "why": why}, advice=_advice(address)
        )


def _advice(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> str:
    """The next step: the setting where it would help, never towards an address that no setting allows."""
    if address is None or refusal(address, allow_private=True) is not None:
        return _("check the URL setting")
    return _("if this system really lives in your own network, set private_network=true for this connection")


def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host`, in the system resolver's order. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked_addresses(host: str, port: int, *, allow_private: bool = False, resolver: Resolver = resolve) -> list[str]:
    """The addresses to connect to. Raises AddressRefused when *any* must not be reached, OSError when there is none."""
    check_host(host, allow_private=allow_private)
    addresses = list(resolver(host, port))
    for text in addresses:
        address = None
        try:
            address = ipaddress.ip_address(text)
            why = refusal(address, allow_private=allow_private)
        except ValueError:
            why = _("unreadable")
        if why is not None:
            raise AddressRefused(
                _("%(host)r leads to %(text)s, which is refused: %(why)s")
                % {"host": host[:80], "text": text[:60], "why": why},
                advice=_advice(address),
            )
    if not addresses:
        raise OSError(f"no address for {host[:80]!r}")
    return addresses


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """(scheme, host, port) with the port spelt out."""
    return url.scheme, url.host.rstrip("."), url.port or (443 if url.scheme == "https" else 80)


class _PinnedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only; the caller keeps using the name for TLS."""

    def __init__(self, *, allow_private: bool, allow_hosts: Collection[str] | None, resolver: Resolver) -> None:
        self._inner = httpcore.SyncBackend()
        self._allow_private, self._resolver = allow_private, resolver
        self._allow_hosts = None if allow_hosts is None else frozenset(h.lower().rstrip(".") for h in allow_hosts)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        if self._allow_hosts is not None and host.lower().rstrip(".") not in self._allow_hosts:
            raise AddressRefused(_("%(host)r is not on the list of hosts that may be reached") % {"host": host[:80]})
        try:
            addresses = checked_addresses(host, port, allow_private=self._allow_private, resolver=self._resolver)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the name cannot be resolved") from None
        for address in addresses[:-1]:
            try:
                return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    def connect_unix_socket(self, *_args: typing.Any, **_kwargs: typing.Any) -> httpcore.NetworkStream:
        raise AddressRefused(_("unix sockets are not reached from here"))


class GuardedTransport(httpx.BaseTransport):
    """The network, through `_PinnedBackend`. Speaks HTTP/1.1, verifies certificates, knows no proxy."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        allow_hosts: Collection[str] | None = None,
        resolver: Resolver = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(),
            max_connections=64,
            network_backend=_PinnedBackend(allow_private=allow_private, allow_hosts=allow_hosts, resolver=resolver),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - narrows for the type checker
        try:
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except _HTTPCORE_ERRORS as error:
            raise _as_httpx(error) from None
        assert isinstance(answer.stream, Iterable)  # noqa: S101 - narrows for the type checker
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Stream(answer), extensions=answer.extensions
        )

    def close(self) -> None:
        self._pool.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> typing.Iterator[bytes]:
        try:
            yield from typing.cast("Iterable[bytes]", self._answer.stream)
        except _HTTPCORE_ERRORS as error:
            raise _as_httpx(error) from None

    def close(self) -> None:
        self._answer.close()


_HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


def _as_httpx(error: Exception) -> httpx.TransportError:
    """httpx's error of the same name; httpcore has no other family than these."""
    for kind in type(error).__mro__:
        found = getattr(httpx, kind.__name__, None)
        if isinstance(found, type) and issubclass(found, httpx.TransportError):
            return found("the network failed")  # the text of the inner error may name what must not be logged
    return httpx.TransportError("the network failed")


def transport(
    *, allow_private: bool = False, allow_hosts: Collection[str] | None = None, resolver: Resolver = resolve
) -> httpx.BaseTransport:
    """The guarded network. `allow_hosts`: only these names (egress allow-list); None: any public one."""
    return GuardedTransport(allow_private=allow_private, allow_hosts=allow_hosts, resolver=resolver)
