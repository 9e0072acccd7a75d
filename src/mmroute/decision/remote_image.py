"""Fetching an image that a stranger's message names, and nothing behind the own wall.

A URL could name what only this machine can reach, itself first of all. So each host is looked up
once, refused unless all its addresses are public, and what was looked at is what is connected to;
redirects are taken step by step, and each is looked at alike.
"""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urljoin, urlsplit

from mmroute.errors import InputError, one_line

LARGEST_IMAGE = 20 * 10**6
"""Bytes of an image in a message."""
SECONDS = 10.0
"""For all of a fetch."""
REDIRECTS = 3
_TRANSLATED = [*map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))]
_SPECIAL = [*map(ipaddress.ip_network, ("192.0.0.0/24", "fec0::/10", "5f00::/16"))]
_PORTS = {"http": 80, "https": 443}


def fetch(url: str) -> bytes:
    """Return what lies at an http or https URL.

    Raises
    ------
    InputError
        If its host, or one that it is redirected to, has an address that is not public; if it
        does not answer in time, or answers something else than content of at most
        ``LARGEST_IMAGE`` bytes.
    """
    place = url
    try:
        for _ in range(1 + REDIRECTS):
            with _connected(urlsplit(place)) as (connection, expired):
                parts = urlsplit(place)
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("GET", target, headers={"Accept": "image/*"})
                answer = connection.getresponse()
                if answer.status == 200:
                    content = answer.read(LARGEST_IMAGE + 1)
                    if len(content) > LARGEST_IMAGE:
                        raise _Unfit(f"more than {LARGEST_IMAGE:,} bytes")
                    # Cut off where its length was not told, it looks whole.
                    if answer.length or expired.is_set():
                        raise _Unfit("cut off")
                    return content
                there = answer.getheader("Location")
                if answer.status not in (301, 302, 303, 307, 308) or not there:
                    raise _Unfit(f"answered with status {answer.status}")
                place = urljoin(place, there)
        raise _Unfit(f"redirected more than {REDIRECTS} times")
    except (_Unfit, OSError, HTTPException, ValueError) as error:
        raise InputError(
            f"messages: the image {url!r:.200} cannot be fetched ({one_line(error)}); give a data: "
            "URL"
        ) from None


class _Unfit(Exception):
    """Why there is no image."""


@contextmanager
def _connected(place: SplitResult) -> Iterator[tuple[HTTPConnection, threading.Event]]:
    """A connection to a public address of a URL's host, and whether its time has ended it."""
    if place.scheme not in _PORTS or not place.hostname:
        raise _Unfit(f"{place.scheme!r:.20} is neither http nor https")
    port = place.port or _PORTS[place.scheme]
    wire = socket.create_connection((_public_address(place.hostname, port), port), SECONDS)
    # A server may send a byte now and then for ever.
    expired = threading.Event()
    timer = threading.Timer(SECONDS, _shut, [wire, expired])
    timer.start()
    try:
        with wire:
            if place.scheme == "https":
                context = ssl.create_default_context()
                wire = context.wrap_socket(wire, server_hostname=place.hostname)
            with wire:
                connection = HTTPConnection(place.hostname, port)
                connection.sock = wire
                yield connection, expired
    finally:
        timer.cancel()


def _shut(wire: socket.socket, expired: threading.Event) -> None:
    expired.set()
    with suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


def _public_address(host: str, port: int) -> str:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(address[0]) for *_, address in found]
    for address in addresses:
        if not _is_public(address):
            raise _Unfit(f"{host} is {address}, which is not public")
    return addresses[0]


def _is_public(address: str) -> bool:
    own = ipaddress.ip_address(address)
    # An address of IPv6 may stand for one of IPv4.
    behind = getattr(own, "ipv4_mapped", None) or getattr(own, "sixtofour", None)
    if any(own in network for network in _TRANSLATED):
        behind = ipaddress.IPv4Address(int(own) & 0xFFFFFFFF)
    if any(own in network for network in _SPECIAL):
        return False
    return own.is_global and not own.is_multicast and (behind is None or behind.is_global)
