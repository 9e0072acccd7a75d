"""OpenAI-style messages as a query: what the user says last.

A router was measured on questions. So the query is the last message of the role ``user``, its text
and its images; what comes before it, the system's prompt too, has no say. An image in any
message goes along to the model, which therefore has to see.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmroute.decision.remote_image import LARGEST_IMAGE, fetch
from mmroute.errors import InputError
from mmroute.images import MOST_IMAGES


class Asked(NamedTuple):
    """A query out of messages.

    Attributes
    ----------
    text
        The parts of text, joined by line breaks.
    images
        The contents of its image files.
    pictured
        Whether any message has an image.
    """

    text: str
    images: list[bytes]
    pictured: bool


def query_of(messages: Any, network: bool = False) -> Asked:
    """Take the query out of messages.

    Parameters
    ----------
    messages
        A list of ``{"role": ..., "content": ...}``; a content is text, or a list of parts
        ``{"type": "text", "text": ...}`` and ``{"type": "image_url", "image_url": {"url": ...}}``.
    network
        Whether images at http and https URLs are fetched; those in ``data:`` URLs need not be.

    Raises
    ------
    InputError
        If they are no such messages, none is the user's, or an image cannot be had.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise InputError(
            f"messages: {messages!r:.80} is no list of messages; give "
            '[{"role": "user", "content": ...}]'
        )
    last, pictured = -1, False
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise InputError(
                f"messages: message {number} is {message!r:.80}; give an object with role and "
                "content"
            )
        if message["role"] == "user":
            last = number
        pictured = pictured or any(
            isinstance(part, Mapping) and part.get("type") == "image_url"
            for part in _parts(message, number)
        )
    if last < 0:
        raise InputError("messages: none has the role user; give the question as one")
    texts: list[str] = []
    images: list[bytes] = []
    for part in _parts(messages[last - 1], last):
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
                if len(images) == MOST_IMAGES:
                    raise InputError(
                        f"messages: message {last} has more than {MOST_IMAGES:,} images; leave "
                        "some out"
                    )
                images.append(_content(url, network))
            case _:
                raise InputError(
                    f"messages: message {last} has the part {part!r:.80}; give text and image_url"
                )
    return Asked("\n".join(texts), images, pictured)


def _parts(message: Mapping[str, Any], number: int) -> Iterator[Any]:
    """Yield the parts of a message."""
    match message.get("content"):
        case None:
            pass
        case str(text):
            yield {"type": "text", "text": text}
        case list(parts) | tuple(parts):
            yield from parts
        case other:
            raise InputError(
                f"messages: message {number} has the content {other!r:.80}; give text or a list "
                "of parts"
            )


def _content(url: str, network: bool) -> bytes:
    """The content of the image at a URL."""
    scheme = url[:8].partition(":")[0].lower()
    if scheme == "data":
        return _decoded(url)
    if scheme not in ("http", "https"):
        raise InputError(f"messages: the image {url!r:.80} is no URL; give a data: URL")
    if not network:
        raise InputError(
            f"messages: the image {url!r:.80} would have to be fetched; give a data: URL, or allow "
            "it (images_from_network=True, --allow-network)"
        )
    return fetch(url)


def _decoded(url: str) -> bytes:
    head, _, content = url.partition(",")
    if not head.lower().endswith(";base64"):
        raise InputError(
            f"messages: the image {url!r:.80} is not in base64; give data:image/png;base64,..."
        )
    if len(content) > LARGEST_IMAGE * 4 // 3 + 4:
        raise InputError(
            f"messages: an image of more than {LARGEST_IMAGE:,} bytes; give a smaller one"
        )
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"messages: the image {url!r:.80} is no base64; encode it anew") from None
