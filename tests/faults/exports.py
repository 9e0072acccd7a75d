"""Change exported routers as an adversary would, ask them, and watch what happens.

``python tests/faults/exports.py --count 300 --seed 0`` prints how many attempts were made,
handled, refused and failed. The attempts that are made by hand come first, whatever the seed;
the others change one place of a card at random, as their seed says. An attempt is refused if
one line says so; handled if it gives the answer of the router that nobody changed, or, where the
adversary has made the digests anew and a card may say what it says, an answer of sound numbers.
Anything else is a failure, and so is all that ``watch`` tells of.
"""

import argparse
import copy
import hashlib
import importlib
import json
import math
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import inputs
import numpy as np
from mutations import Outcome
from watch import (
    SECRET_VARIABLE,
    Ended,
    NotMade,
    Place,
    Watch,
    answer,
    command_line,
    in_fork,
    outcomes,
)

LONGEST_SECONDS = 40
MOST_BYTES = 3 * 2**29
CARD, ROUTER, FEATURES, CURVE, SEEN, README = (
    "router.json",
    "router.safetensors",
    "features.safetensors",
    "curve.safetensors",
    "seen.safetensors",
    "README.md",
)
SUMS = "SHA256SUMS"
LOG = "log.jsonl"
"""Decisions for as many queries as drift is told of."""
TEXT = "Which of the two lines is longer?"
SINGLE = inputs.MODELS[1]
ALLOWED = "--allow-network"
Expected = Literal["refused", "same", "sound"]
"""Refused; refused, or with the answer of the unchanged router; refused, or with sound numbers."""


class Stored:
    """A safetensors file of a router, taken apart."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        self.path = path
        with safe_open(path, "np") as file:
            ((self.key, text),) = file.metadata().items()
            self.tensors = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        self.structure = json.loads(text[32:])

    @property
    def value(self) -> Any:
        """The node of the router; its last item holds its attributes by name."""
        return self.structure["value"]

    @value.setter
    def value(self, node: Any) -> None:
        self.structure["value"] = node

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the router."""
        return self.value[2]

    def named(self, name: str) -> int:
        """Return the number of a class, ``module:Class``, which is listed if it is not yet."""
        classes = self.structure["classes"]
        if name not in classes:
            classes.append(name)
        return classes.index(name)

    def made(self, name: str, /, **attributes: Any) -> list[Any]:
        """Return the node of an object of a class."""
        return ["object", self.named(name), attributes]

    def function(self, name: str) -> list[Any]:
        """Return the node of a function."""
        functions = self.structure["functions"]
        if name not in functions:
            functions.append(name)
        return ["function", functions.index(name)]

    def nodes(self, kind: str, node: Any = None) -> Iterator[list[Any]]:
        """Yield all nodes of a kind, in the order of the file."""
        node = self.value if node is None else node
        if isinstance(node, list) and node and node[0] == kind:
            yield node
        for item in node.values() if isinstance(node, dict) else node:
            if isinstance(item, list | dict):
                yield from self.nodes(kind, item)

    def objects(self, name: str) -> list[dict[str, Any]]:
        """Return the attributes of all objects of a class that is told by its last name."""
        classes = self.structure["classes"]
        return [node[2] for node in self.nodes("object") if classes[node[1]].split(":")[1] == name]

    def place(self, wanted: list[Any]) -> slice:
        """Return where the numbers of an ``array`` node lie in the tensor of its type."""
        taken = 0
        for node in self.nodes("array"):
            count = math.prod(node[2])
            if node is wanted:
                return slice(taken, taken + count)
            if _stored_as(node[1]) == _stored_as(wanted[1]):
                taken += count
        raise ValueError(f"no such node: {wanted}")

    @property
    def learned(self) -> str:
        """The name of the first attribute that the router has learned."""
        return next(name for name in self.attributes if name.endswith("_"))

    def put(self, node: Any, name: str | None = None) -> None:
        """Put a node in the place of an attribute, and take the numbers of that one away."""
        name = self.learned if name is None else name
        for array in reversed(list(self.nodes("array", [self.attributes.get(name)]))):
            kind = _stored_as(array[1])
            self.tensors[kind] = np.delete(self.tensors[kind], self.place(array))
        self.tensors = {name: tensor for name, tensor in self.tensors.items() if tensor.size}
        self.attributes[name] = node

    def numbers(self, node: list[Any]) -> np.ndarray:
        """Return the numbers of an ``array`` node, to be changed in place."""
        return self.tensors[_stored_as(node[1])][self.place(node)]

    def write(self, text: str | None = None) -> None:
        """Write the file with a correct digest, whatever it says."""
        from safetensors.numpy import save_file

        text = json.dumps(self.structure) if text is None else text
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16)
        for _, tensor in sorted(self.tensors.items()):
            digest.update(np.ascontiguousarray(tensor))
        save_file(self.tensors, self.path, {self.key: digest.hexdigest() + text})


def _log() -> bytes:
    own = {"time": "2026-01-02T03:04:05+00:00", "model": SINGLE, "propensity": 1}
    queries = ({"id": f"q{row}", "text": f"{TEXT} {row}"} for row in range(60))
    return "".join(json.dumps(query | own) + "\n" for query in queries).encode()


def _stored_as(dtype: str) -> str:
    return np.dtype(dtype).name


class Export:
    """A copy of an exported router, in the hands of an adversary.

    Attributes
    ----------
    folder
        Where it is.
    place
        The folders of the attempt.
    originals
        The unchanged exports, by row.
    address
        The server that notes what arrives.
    """

    def __init__(self, row: str, place: Place, originals: dict[str, Path], address: str) -> None:
        self.folder, self.place, self.originals = place.root / "export", place, originals
        self.address = address
        shutil.copytree(originals[row], self.folder)
        inputs.picture(1).save(place.work / "query.png")
        (place.work / LOG).write_bytes(_log())

    def __getitem__(self, name: str) -> Path:
        """Return the path of a file of the folder."""
        return self.folder / name

    @property
    def command(self) -> list[str]:
        """A program that shows that it ran."""
        return ["/bin/sh", "-c", f"echo ran >> {self.place.canary}"]

    @property
    def program(self) -> str:
        """The same in Python."""
        return f"open({str(self.place.canary)!r}, 'w').close()\n"

    @cached_property
    def card(self) -> dict[str, Any]:
        """The content of the card."""
        return json.loads(self[CARD].read_text())

    def write_card(self, text: str | bytes | None = None, sign: bool = True) -> None:
        """Write the card, as it was changed or a text, and make the digests anew."""
        text = json.dumps(self.card) if text is None else text
        self[CARD].write_bytes(text if isinstance(text, bytes) else text.encode())
        if sign:
            self.sign()

    def stored(self, name: str = ROUTER) -> Stored:
        """Return a safetensors file, taken apart."""
        return Stored(self[name])

    @contextmanager
    def changing(self, name: str = ROUTER) -> Iterator[Stored]:
        """Yield a safetensors file taken apart; write it and make the digests anew."""
        stored = self.stored(name)
        yield stored
        stored.write()
        self.sign()

    def sign(self) -> None:
        """Make the digests of all files anew."""
        files = sorted(path for path in self.folder.iterdir() if path.name != SUMS)
        whole = [path for path in files if path.is_file()]
        self[SUMS].write_text(
            "".join(
                f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in whole
            )
        )


class Attempt(NamedTuple):
    """An attempt: what it is, the row that it changes, how, and what is expected.

    ``arguments`` replace those of a query with a text and an image; ``fresh`` starts Python
    anew, as it finds its modules at the start; ``command`` is what asks the router.
    """

    what: str
    row: str
    change: Callable[[Export], None]
    expected: Expected = "refused"
    arguments: tuple[str, ...] = (TEXT, "--image", "query.png")
    fresh: bool = False
    command: str = "route"


# -- Cards --------------------------------------------------------------------------------

Path_ = tuple[str | int, ...]


def _set(card: Any, path: Path_, value: Any) -> None:
    for key in path[:-1]:
        card = card[key]
    card[path[-1]] = value


def card_is(what: str, row: str, path: Path_, value: Any, expected: Expected = "refused", **more):
    """Return the attempt that gives a key of a card a value, with digests made anew."""

    def change(export: Export) -> None:
        _set(export.card, path, value)
        export.write_card()

    shown = ".".join(map(str, path))
    return Attempt(f"{what}: {shown} is {value!r:.60}", row, change, expected, **more)


def classes_in_cards() -> Iterator[Attempt]:
    """Name what is no class of the catalogue, where a card names one."""
    foreign = ("psutil:Popen", "os:system", "subprocess:Popen", "builtins:eval", "evil:Thing")
    foreign += ("mmroute.encoders.open_clip:OpenClip", "mmroute.cli:app", "../evil:Thing", ":", "x")
    for name in foreign:
        for path in (("encoders", "text"), ("encoders", "image"), ("fusion",)):

            def change(export: Export, name: str = name, path: Path_ = path) -> None:
                parameters = {} if name == "evil:Thing" else {"args": export.command}
                own = export.card
                for key in path:
                    own = own[key]
                own |= {"name": name, "parameters": parameters}
                (export.place.work / "evil.py").write_text(EVIL.format(program=export.program))
                (export.folder / "evil.py").write_text(EVIL.format(program=export.program))
                export.write_card()

            yield Attempt(f"{'.'.join(path)}.name is {name}", "knn", change)

        def router(export: Export, name: str = name) -> None:
            export.card["router"] = {"name": name, "parameters": {"args": export.command}}
            (export.place.work / "evil.py").write_text(EVIL.format(program=export.program))
            export.write_card()

        yield Attempt(f"router.name is {name}", "knn", router)


EVIL = """\
{program}
class Thing:
    name = "thing"
    key = "thing"

    def __init__(self, **more):
        pass
"""


def parameters_in_cards() -> Iterator[Attempt]:
    """Give encoders and fusions parameters that they do not have, or of other kinds."""
    given: list[Any] = [{"x": 1}, {"__class__": 1}, {"self": 1}, {"": 0}, [], None, "x", 3]
    for parameters in given:
        yield card_is("encoder", "knn", ("encoders", "text", "parameters"), parameters)
    for parameters in ({"statistics": "test"}, {"statistics": ["train"]}, {"weight": 1e9}, []):
        yield card_is("fusion", "knn", ("fusion", "parameters"), parameters)
    for value in (0, -1, "3", 2.5, None, True, [3], 10**400, {"n": 3}):
        yield card_is("router", "knn", ("router", "parameters", "n_neighbors"), value)
    yield card_is("router", "knn", ("router", "parameters", "n_neighbours"), 3)
    yield card_is("router", "knn", ("router", "parameters", "__init__"), 3)


def values_in_cards() -> Iterator[Attempt]:
    """Give keys values that they must not have."""
    for value in ("a", -1, math.nan, math.inf, -math.inf, None, True, [0.05], {}, "0.05", 10**400):
        yield card_is("policy's parameter", "knn", ("threshold",), value)
    for value in (0, -1, math.nan, math.inf, "1", None, [], 10**400):
        yield card_is("unit", "knn", ("unit_usd",), value)
    for value in ("x", "", None, 0, ["lambda"], {"lambda": 1}, "LAMBDA", "lambda\n"):
        yield card_is("policy", "knn", ("policy",), value)
    for value in (0, 1, 2, 4, "3", 3.5, True, None, [], 1e300):
        yield card_is("format", "knn", ("format",), value)
    for value in ([], None, {}, "m-small", [None], [[]], [{}], ["m-small"] * 3, 10**6 * [0]):
        yield card_is("pool", "knn", ("models",), value)
    for row in ("nobody", "", None, 3, "m-large\n", "knn"):
        yield card_is("single model", SINGLE, ("row",), row)
        for part in ("first", "second"):
            yield card_is("mixture", SINGLE, ("mixture", part), row)
    for value in (-0.1, 1.1, math.nan, math.inf, "x", None, [], 1e300):
        yield card_is("mixture", SINGLE, ("mixture", "share"), value)
    for value in ({}, [], "x", True, {"usd": 1.0}, {"first": "m-small"}):
        yield card_is("mixture", "knn", ("mixture",), value)
        yield card_is("limit", "knn", ("limit",), value)
    for value in (-1, math.nan, math.inf, "x", [], True, 10**400):
        yield card_is("limit", "knn", ("listed_usd",), value)
        yield card_is("labels", "knn", ("n_labels",), value)
        limit = {"usd": 1.0, "listed_ratio": 1.0, "predicted_ratio": 1.0, "reserve_usd": 0.0}
        for part in limit:
            yield card_is("limit", "knn", ("limit",), limit | {part: value})
    for value in ("", "none", None, 1, ["all"], "ALL"):
        yield card_is("labels", "knn", ("labels",), value)
    for name, values in {
        "utility": (-0.1, 1.1, math.nan, "x", None, [], 1e300),
        "cost_usd": (-1, math.nan, math.inf, "x", [], 10**400),
        "usd_per_1m_prompt_tokens": (-1, math.nan, math.inf, "x", []),
        "model": (None, "", 3, [], "m-small", {}),
    }.items():
        for value in values:
            yield card_is("model", SINGLE, ("models", 2, name), value)
    for value in (-1, 2, math.nan, "0.5", None, [1], 1e300):
        yield card_is("shrinkage", "knn+shrink", ("shrinkage", "rho"), value)
    for value in ([], [0.5], [0.5] * 4, ["x"] * 3, None, [[0.5] * 3] * 3, [math.nan] * 3, 0.5):
        yield card_is("shrinkage", "knn+shrink", ("shrinkage", "means"), value)
    for value in ([], {}, "x", True, {"rho": 0.5}, {"rho": 0.5, "means": [1, 1, 1], "x": 1}):
        yield card_is("shrinkage", "knn+shrink", ("shrinkage",), value)
    for value in (
        [],
        [0.0],
        [math.nan] * 512,
        "x",
        None,
        [[0.0]] * 512,
        [0.0] * 511,
        [1e400] * 512,
    ):
        yield card_is("text", "knn", ("encoders", "text", "probe"), value)
    for value in ({}, None, [], "builtin", {"text": {}}, {"text": None, "image": None}):
        yield card_is("encoders", "knn", ("encoders",), value)
    for value in (None, [], "adaptive", {"name": "text"}, {"name": "mean", "parameters": {}}):
        yield card_is("fusion", "knn", ("fusion",), value)
    for value in ("linear", "kmeans", None, "", "oracle", "random", "llm", 3, ["knn"]):
        yield card_is("class", "knn", ("router", "name"), value)
    for value in ([0.0], [0.1] * 326, [0.1] * 328, [1e30] * 327):
        image = ("encoders", "image", "probe")
        same = "same" if len(value) == 327 else "refused"
        yield card_is("masked image", "knn", image, value, same, arguments=(TEXT,))
    for value in (None, [], "knn", {}, {"name": "knn"}, {"name": "knn", "parameters": {}, "x": 1}):
        yield card_is("router", "knn", ("router",), value)


def keys_in_cards() -> Iterator[Attempt]:
    """Leave keys out, and add some."""
    for key in ("format", "row", "router", "shrinkage", "reason", "benchmark", "mmroute"):
        yield _without("knn", (key,))
    for key in ("fusion", "policy", "threshold", "unit_usd", "models", "encoders", "measured"):
        yield _without("knn", (key,))
    for key in ("mixture", "labels", "n_labels", "limit", "listed_usd"):
        yield _without("knn", (key,))
    for key in ("name", "parameters", "probe"):
        yield _without("knn", ("encoders", "text", key))
    for key in ("name", "parameters"):
        yield _without("knn", ("router", key))
    for key in ("model", "utility", "cost_usd"):
        yield _without(SINGLE, ("models", 0, key))
    yield _without("knn", ("encoders", "image"))
    for path in (("x",), ("__class__",), ("files",), ("models", 0, "x"), ("encoders", "audio")):
        yield card_is("extra key", "knn", path, 1)

    def fewer(count: int) -> Callable[[Export], None]:
        def change(export: Export) -> None:
            models = export.card["models"]
            export.card["models"] = (models * 2)[:count]
            export.write_card()

        return change

    for row in ("knn", "kmeans", "linear", "mlp", "vlc"):
        for count in (1, 2, 4):
            yield Attempt(f"{count} of 3 models", row, fewer(count))

    def twice(export: Export) -> None:
        export.card["models"][1]["model"] = export.card["models"][0]["model"]
        export.write_card()

    yield Attempt("a model named twice", "knn", twice)


def _without(row: str, path: Path_) -> Attempt:
    def change(export: Export) -> None:
        own = export.card
        for key in path[:-1]:
            own = own[key]
        del own[path[-1]]
        export.write_card()

    return Attempt(f"no key {'.'.join(map(str, path))}", row, change)


def texts_of_cards() -> Iterator[Attempt]:
    """Replace the card by what is no card."""
    deep = 10**5 * "["
    texts: dict[str, Callable[[str], bytes]] = {
        "empty": lambda card: b"",
        "cut": lambda card: card[: len(card) // 2].encode(),
        "nested without end": lambda card: deep.encode(),
        "nested in a key": lambda card: (card[:-1] + f', "x": {deep}').encode(),
        "nested and closed": lambda card: (
            card[:-1] + ', "x": ' + 900 * "[" + 900 * "]" + "}"
        ).encode(),
        "a number of many digits": lambda card: card.replace("0.05", "9" * 10**4).encode(),
        "of many more digits": lambda card: card.replace("0.05", "9" * 10**7).encode(),
        "an exponent": lambda card: card.replace("0.05", "1e999999999").encode(),
        "UTF-16": lambda card: card.encode("utf-16"),
        "no text": lambda card: b"\xff\xfe\x00" * 100,
        "null bytes": lambda card: b"\0" * 10**6,
        "a list": lambda card: f"[{card}]".encode(),
        "null": lambda card: b"null",
        "a string": lambda card: b'"router"',
        "something behind": lambda card: (card + "{}").encode(),
        "a key twice": lambda card: (card[:-1] + ', "policy": "budget"}').encode(),
        "a pickle": lambda card: b"cos\nsystem\n(S'true'\ntR.",
        "YAML": lambda card: b"!!python/object/apply:os.system ['true']",
        "half a surrogate": lambda card: card.replace('"for a test"', '"\\ud800"').encode(),
        "100 MB": lambda card: (card[:-1] + ', "x": "' + "y" * 10**8 + '"}').encode(),
    }
    for what, text in texts.items():

        def change(export: Export, text: Callable[[str], bytes] = text) -> None:
            export.write_card(text(json.dumps(export.card)))

        expected = "sound" if what == "half a surrogate" else "refused"
        yield Attempt(f"the card is {what}", "knn", change, expected)

    for key in ("row", "reason", "benchmark", "mmroute"):
        for value in (
            "\x1b[31mred",
            "<script>",
            "=1+1",
            "a\nb",
            "{}",
            "../x",
            "\u202e",
            "x" * 10**6,
        ):
            yield card_is("words", "knn", (key,), value, "sound")


# -- Files --------------------------------------------------------------------------------


def tampered() -> Iterator[Attempt]:
    """Change files and leave the digests as they are."""

    def cut(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    ways: dict[str, Callable[[Path], None]] = {
        "cut": cut,
        "a bit flipped": flip,
        "empty": lambda path: path.write_bytes(b""),
        "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        "gone": Path.unlink,
    }
    for what, way in ways.items():
        for name in (CARD, ROUTER, FEATURES, CURVE, SEEN, README, SUMS):

            def change(export: Export, name: str = name, way: Callable = way) -> None:
                way(export[name])

            yield Attempt(f"{name} is {what}, digests as they were", "knn", change)

    for key, value in (("threshold", 0.5), ("reason", "because"), ("row", "my own")):

        def card(export: Export, key: str = key, value: Any = value) -> None:
            export.card[key] = value
            export.write_card(sign=False)

        yield Attempt(f"the card's {key} is another, digests as they were", "knn", card)
    for other in ("kmeans", "knn+shrink", "linear"):
        for name in (CARD, ROUTER, FEATURES, CURVE, SEEN):

            def swap(export: Export, other: str = other, name: str = name) -> None:
                path = export[name]
                shutil.copy(export.originals[other] / path.name, path)

            equal = name in (ROUTER, FEATURES, SEEN) and other == "knn+shrink"
            equal = equal or (name == FEATURES and other == "linear")
            yield Attempt(
                f"{name} of {other}, digests as they were",
                "knn",
                swap,
                "same" if equal else "refused",
            )


def swapped() -> Iterator[Attempt]:
    """Swap files between exports and make the digests anew."""
    for row, other in (
        ("knn", "kmeans"),
        ("kmeans", "knn"),
        ("linear", "mlp"),
        ("mlp", "vlc"),
        ("vlc", "cmr"),
        ("cmr", "linear"),
        ("knn", "llm"),
        ("llm", "knn"),
        ("knn", "ensemble"),
        ("ensemble", "knn"),
    ):

        def change(export: Export, other: str = other) -> None:
            shutil.copy(export.originals[other] / ROUTER, export[ROUTER])
            export.sign()

        yield Attempt(f"the router of {other}, digests anew", row, change)
    for row, other in (("knn", "kmeans"), ("kmeans", "knn"), ("vlc", "ensemble"), ("knn", ROUTER)):

        def features(export: Export, other: str = other) -> None:
            source = export[ROUTER] if other == ROUTER else export.originals[other] / FEATURES
            shutil.copy(source, export[FEATURES])
            export.sign()

        yield Attempt(f"the features of {other}, digests anew", row, features)

    def router_of_features(export: Export) -> None:
        shutil.copy(export[FEATURES], export[ROUTER])
        export.sign()

    yield Attempt("the features as the router", "knn", router_of_features)

    def curve(export: Export) -> None:
        path = export[CURVE]
        shutil.copy(export.originals["linear"] / path.name, path)
        export.sign()

    yield Attempt("the curve of linear", "knn", curve, "sound", (TEXT, "--budget", "1000"))
    for what, content in (
        ("empty", b""),
        ("text", b"a,b\n1,2\n"),
        ("of zeros", b"\0" * 1000),
        ("a header that is too long", (2**62).to_bytes(8, "little") + b"{}"),
        ("a header of 90 MB", (9 * 10**7).to_bytes(8, "little") + b" " * 9 * 10**7),
        ("a pickle", b"cos\nsystem\n(S'true'\ntR."),
        ("an archive of torch", b"PK\x03\x04" + b"\0" * 100),
    ):
        for name in (ROUTER, FEATURES, CURVE, SEEN):

            def replaced(export: Export, name: str = name, content: bytes = content) -> None:
                export[name].write_bytes(content)
                export.sign()

            attempt = Attempt(f"{name} is {what}, digests anew", "knn", replaced)
            arguments = (TEXT, "--budget", "1000") if name == CURVE else (TEXT,)
            yield told_of_a_log(attempt) if name == SEEN else attempt._replace(arguments=arguments)


def no_files() -> Iterator[Attempt]:
    """Put what is no regular file in the place of one."""

    def device(path: Path) -> None:
        try:
            os.mknod(path, 0o20644, os.makedev(1, 5))
        except PermissionError:
            path.symlink_to("/dev/zero")

    def listening(path: Path) -> None:
        # A path of a socket may have a hundred characters; from its folder it has few.
        with chdir(path.parent):
            socket.socket(socket.AF_UNIX).bind(path.name)

    ways: dict[str, Callable[[Path], None]] = {
        "a pipe": os.mkfifo,
        "a folder": Path.mkdir,
        "a device": device,
        "a socket": listening,
        "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "a link to nothing": lambda path: path.symlink_to("nothing"),
        "a link to itself": lambda path: path.symlink_to(path.name),
        "a link to /etc/hostname": lambda path: path.symlink_to("/etc/hostname"),
    }
    for what, way in ways.items():
        for name in (CARD, ROUTER, FEATURES, CURVE, SEEN, README, SUMS):

            def change(export: Export, name: str = name, way: Callable = way) -> None:
                path = export[name]
                path.unlink(missing_ok=True)
                way(path)

            yield Attempt(f"{name} is {what}", "knn", change)
    for what in ("a pipe", "a folder", "a link to /dev/zero", "a link to nothing"):

        def image(export: Export, way: Callable = ways[what]) -> None:
            (export.place.work / "query.png").unlink()
            way(export.place.work / "query.png")

        yield Attempt(f"the query's image is {what}", "knn", image)
        yield Attempt(f"the query's image is {what}, for llm", "llm", image)

        def folder(export: Export, way: Callable = ways[what]) -> None:
            shutil.rmtree(export.folder)
            way(export.folder)

        yield Attempt(f"the folder is {what}", "knn", folder)

    def beside(export: Export) -> None:
        os.mkfifo(export["pipe"])
        export["zero"].symlink_to("/dev/zero")
        export["sub"].mkdir()
        (export["sub"] / "x").write_text("x")
        export["nothing"].symlink_to("nothing")
        Path(os.fsdecode(os.fsencode(export.folder) + b"/caf\xe9.png")).write_bytes(b"x")

    yield Attempt("other things lie in the folder", "knn", beside, "same")

    def linked(export: Export) -> None:
        export.folder.rename(export.place.root / "elsewhere")
        export.folder.symlink_to(export.place.root / "elsewhere")

    yield Attempt("the folder is a link to the export", "knn", linked, "same")


def digest_lists() -> Iterator[Attempt]:
    """Change the list of digests."""
    zero = "0" * 64

    def with_lines(*lines: str) -> Callable[[Export], None]:
        def change(export: Export) -> None:
            own = export[SUMS].read_text()
            export[SUMS].write_text(own + "".join(f"{line}\n" for line in lines))

        return change

    for line in (
        f"{zero}  ../outside",
        f"{zero}  /etc/passwd",
        f"{zero}  /dev/zero",
        f"{zero}  gone.txt",
        f"{zero}  {CARD}",
        f"{zero}  ./{ROUTER}",
        f"{zero}  sub/../{ROUTER}",
        f"{zero}  {SUMS}",
        f"{zero} *{README}",
        f"\\{zero}  a\\nb",
        f"{zero}",
        "x",
        f"{zero[:-1]}  {README}",
        f"{zero}  \x1b[31m",
        f"{zero}  {'y' * 10**6}",
        "9" * 10**7,
    ):
        yield Attempt(f"{SUMS} has a line {line!r:.90}", "knn", with_lines(line))
    for name in (CARD, ROUTER, FEATURES, CURVE, SEEN, README):

        def without(export: Export, name: str = name) -> None:
            name = export[name].name
            lines = export[SUMS].read_text().splitlines()
            export[SUMS].write_text("".join(f"{own}\n" for own in lines if not own.endswith(name)))

        yield Attempt(f"{SUMS} has no line for {name}", "knn", without)
    for what, content in (
        ("empty", b""),
        ("zeros", b"\0" * 10**6),
        ("UTF-16", "x".encode("utf-16")),
    ):

        def replaced(export: Export, content: bytes = content) -> None:
            export[SUMS].write_bytes(content)

        yield Attempt(f"{SUMS} is {what}", "knn", replaced)

    def with_pipe(export: Export) -> None:
        os.mkfifo(export["pipe"])
        with_lines(f"{zero}  pipe")(export)

    yield Attempt(f"{SUMS} has a line of a pipe", "knn", with_pipe)


# -- What a safetensors file names --------------------------------------------------------

CLASSES = (
    "sklearn.compose._column_transformer:ColumnTransformer",
    "sklearn.compose._target:TransformedTargetRegressor",
    "sklearn.pipeline:Pipeline",
    "sklearn.pipeline:FeatureUnion",
    "sklearn.ensemble._voting:VotingClassifier",
    "sklearn.ensemble._voting:VotingRegressor",
    "sklearn.ensemble._stacking:StackingClassifier",
    "sklearn.ensemble._bagging:BaggingRegressor",
    "sklearn.preprocessing._function_transformer:FunctionTransformer",
    "sklearn.model_selection._search:GridSearchCV",
    "sklearn.model_selection._search:RandomizedSearchCV",
    "sklearn.model_selection._classification_threshold:TunedThresholdClassifierCV",
    "sklearn.calibration:CalibratedClassifierCV",
    "sklearn.multioutput:RegressorChain",
    "sklearn.multioutput:MultiOutputRegressor",
    "sklearn.multiclass:OneVsRestClassifier",
    "sklearn.frozen._frozen:FrozenEstimator",
    "sklearn.semi_supervised._self_training:SelfTrainingClassifier",
    "sklearn.gaussian_process._gpr:GaussianProcessRegressor",
    "sklearn.metrics._scorer:_Scorer",
    "sklearn.utils._bunch:Bunch",
    "sklearn.svm._classes:SVC",
    "sklearn.linear_model._base:LinearRegression",
    "scipy.sparse._csr:csr_matrix",
    "scipy.interpolate._interpolate:interp1d",
    "torch.nn.modules.module:Module",
    "torch.nn.parallel.data_parallel:DataParallel",
    "torch.nn.utils.spectral_norm:SpectralNorm",
    "torch.jit._script:RecursiveScriptModule",
    "torch.package.package_importer:PackageImporter",
    "torch.hub:_Faketqdm",
    "torchvision.transforms.transforms:Lambda",
    "timm.models.vision_transformer:VisionTransformer",
    "open_clip.model:CLIP",
    "open_clip.tokenizer:HFTokenizer",
    "mmroute.decision.deployed:DeployedRouter",
    "mmroute.encoders.open_clip:OpenClip",
    "mmroute.encoders.builtin:Builtin",
    "mmroute.routers.towers:Towers",
    "mmroute.routers.llm:LLM",
    "mmroute.sources.table:TableSource",
    "mmroute.sources.mmr_release:MmrRelease",
    "mmroute.config:Config",
    "mmroute.outcomes.benchmark:Benchmark",
    "mmroute.errors:InputError",
    "subprocess:Popen",
    "psutil:Popen",
    "os:_wrap_close",
    "functools:partial",
    "pathlib:PosixPath",
    "types:SimpleNamespace",
    "tempfile:_TemporaryFileCloser",
    "joblib.memory:MemorizedFunc",
    "joblib.parallel:Parallel",
    "weakref:finalize",
    "numpy:memmap",
    "builtins:property",
    "evil:Thing",
)
FUNCTIONS = (
    "os:system",
    "builtins:eval",
    "torch:load",
    "torch.nn.functional:handle_torch_function",
    "torch.nn.functional:gumbel_softmax",
    "torch.nn.functional:boolean_dispatch",
    "torch.nn.modules.module:register_module_forward_hook",
    "torch.hub:load",
    "open_clip.tokenizer:_clean_lower",
    "open_clip.factory:create_model",
    "evil:Thing",
)


def gadgets() -> Iterator[Attempt]:
    """Name classes that no such router holds; some of them reach what runs a program."""

    def bait(export: Export, stored: Stored) -> list[Any]:
        """Return the node of an object of ours, a cached property of which builds a class."""
        encoder = {"name": "psutil:Popen", "parameters": {"args": export.command}, "probe": [0.0]}
        described = {"text": encoder, "image": encoder}
        card = _nodes_of({"encoders": described, "row": "x"})
        return stored.made("mmroute.decision.deployed:DeployedRouter", card=card, models=["list"])

    def stacking(export: Export, stored: Stored) -> list[Any]:
        lure = {"estimators_": ["list", bait(export, stored)], "estimators": ["list"]}
        lure |= {"stack_method_": ["list", "_text_encoder"], "passthrough": False}
        lure |= {"final_estimator_": bait(export, stored), "n_features_in_": 839}
        return stored.made("sklearn.ensemble._stacking:StackingRegressor", **lure)

    def selecting(export: Export, stored: Stored) -> list[Any]:
        lure = dict.fromkeys(("estimator", "estimator_"), bait(export, stored))
        lure |= {"importance_getter": "_text_encoder", "threshold": None, "prefit": True}
        return stored.made("sklearn.feature_selection._from_model:SelectFromModel", **lure)

    def hooked(hooks: str) -> Callable[[Export, Stored], list[Any]]:
        def make(export: Export, stored: Stored) -> list[Any]:
            function = stored.function("torch.nn.functional:relu")
            lure = {hooks: ["OrderedDict", [0, function]], "_modules": {"0": bait(export, stored)}}
            return stored.made("torch.nn.modules.container:Sequential", **lure)

        return make

    def member(export: Export, stored: Stored) -> list[Any]:
        return ["member", stored.named("mmroute.errors:InputError"), "__init__"]

    def function(name: str) -> Callable[[Export, Stored], list[Any]]:
        return lambda export, stored: stored.function(name)

    def of_class(name: str) -> Callable[[Export, Stored], list[Any]]:
        def make(export: Export, stored: Stored) -> list[Any]:
            own, lure = stored.attributes[stored.learned], bait(export, stored)
            held = ("estimator", "estimator_", "best_estimator_", "regressor_", "base")
            called = ("func", "lambd", "_func", "module", "tokenizer", "forward", "predict")
            attributes = dict.fromkeys(held, own) | dict.fromkeys(called, lure)
            attributes |= {"args": ["list", *export.command], "delete": True}
            attributes |= {"name": str(export.place.work / "query.png")}
            return stored.made(name, **attributes)

        return make

    lures = {"a StackingRegressor that calls a property of ours": stacking}
    lures |= {"a SelectFromModel that gets a property of ours": selecting}
    lures |= {"an object of ours with a property that runs a program": bait}
    lures |= {f"a network with {hooks}": hooked(hooks) for hooks in HOOKS}
    lures |= {"a member of what is no Enum": member}
    lures |= {f"a {name}": of_class(name) for name in CLASSES}
    lures |= {f"the function {name}": function(name) for name in FUNCTIONS}
    for what, make in lures.items():

        def change(export: Export, make: Callable[[Export, Stored], list[Any]] = make) -> None:
            (export.place.work / "evil.py").write_text(EVIL.format(program=export.program))
            with export.changing() as stored:
                stored.put(make(export, stored))

        for row in ("kmeans", "ensemble") if "property" in what else ("kmeans",):
            yield Attempt(f"what it has learned is {what}", row, change)

    def top(export: Export) -> None:
        with export.changing() as stored:
            stored.value = bait(export, stored)
            stored.tensors = {}

    yield Attempt("the router is an object of ours", "kmeans", top)

    def features(export: Export) -> None:
        with export.changing(FEATURES) as stored:
            stored.attributes["fusion"] = bait(export, stored)

    yield Attempt("the fusion is an object of ours", "kmeans", features)

    def beside(export: Export) -> None:
        with export.changing() as stored:
            stored.attributes["bait"] = bait(export, stored)

    yield Attempt("an object of ours lies beside", "kmeans", beside)


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks")


def _nodes_of(value: Any) -> Any:
    """Return the nodes of plain values."""
    if isinstance(value, list):
        return ["list", *map(_nodes_of, value)]
    return {key: _nodes_of(own) for key, own in value.items()} if isinstance(value, dict) else value


def structures() -> Iterator[Attempt]:
    """Write structures that a file must not have."""
    nodes: dict[str, Any] = {
        "a pattern that backtracks": ["pattern", "re", "(a+)+$", 0],
        "a pattern that compiles for ever": [
            "pattern",
            "re",
            "(?:" * 90 + "a{1,100}" + "){1,100}" * 90,
            0,
        ],
        "a pattern that takes all memory": [
            "pattern",
            "re",
            "((((a{1000}){1000}){1000}){1000})",
            0,
        ],
        "a pattern of regex": ["pattern", "regex", "(?:a|aa)+$", 0],
        "a pattern nested without end": ["pattern", "re", "(" * 10**5, 0],
        "a generator": ["random", "Generator", "PCG64", {"bit_generator": "PCG64"}],
        "a generator beyond its state": [
            *("random", "RandomState", "MT19937"),
            {"bit_generator": "MT19937", "state": {"key": ["list", *range(624)], "pos": 10**9}},
        ],
        "text, one of many very long": ["text", [20_001], ["x" * 10**6, *20_000 * [""]]],
        "text of another shape": ["text", [10**12], ["a"]],
        "text of no shape": ["text", [0, 10**12], []],
        "a vast empty array": ["array", "f8", [0, 2**40]],
        "70 axes": ["array", "f8", [0] + 70 * [1]],
        "negative lengths": ["array", "f8", [-1, -1]],
        "a length that is no number": ["array", "f8", ["3"]],
        "objects of another shape": ["objects", [10**9], ["list"]],
        "a dtype of 1 GB": ["dtype", "V1000000000"],
        "a dtype of objects": ["dtype", "O"],
        "a dtype of fields": ["dtype", "i4,(100000000,)f8"],
        "a dtype of text": ["dtype", "U500000000"],
        "a type that is none": ["type", "memmap"],
        "a type that loads": ["type", "load"],
        "an array of objects": ["array", "O", [1]],
        "an array of voids": ["array", "V8", [1]],
        "a date of no unit": ["array", "M8[x]", [1]],
        "records of nothing": ["records", [10**12], True, []],
        "records that repeat": ["records", [0], False, 2 * [["a", ["array", "f8", [0]]]]],
        "records of many fields": [
            *("records", [0], False),
            [[f"f{index}", ["array", "f8", [0]]] for index in range(20_000)],
        ],
        "a set of lists": ["set", ["list"]],
        "a mapping of no pairs": ["dict", ["a", 1, 2]],
        "an unknown kind": ["eval", "1"],
        "a number as a kind": [0, 1],
        "a kind that is a list": [[], 1],
        "an object of no class": ["object", 99, {}],
        "an object of class -1": ["object", -1, {}],
        "an object of class true": ["object", True, {}],
        "an object of no attributes": ["object", 0, None],
        "an object of a list": ["object", 0, ["list"]],
        "constructed": ["constructed", 0, [1, 2], {}],
        "a size of -1": ["size", -1],
        "a float that is none": ["float", "0x1p3"],
        "nested 900 deep": _nested(900),
        "a million nulls": ["list", *10**6 * [None]],
        "a whole number of 4,000 digits": 10**4000,
        "a tensor of a function": ["tensor", "load", False, ["array", "f8", [0]]],
        "a tensor of another size": ["tensor", "int8", False, ["array", "f8", [3]]],
        "null": None,
        "a string": "index",
        "a mapping": {"kneighbors": 1},
    }
    for what, node in nodes.items():

        def change(export: Export, node: Any = node) -> None:
            with export.changing() as stored:
                stored.put(node)

        yield Attempt(f"what knn has learned is {what}", "knn", change)
        if what in ("null", "a string", "a mapping", "nested 900 deep", "an unknown kind"):

            def top(export: Export, node: Any = node) -> None:
                with export.changing() as stored:
                    stored.value, stored.tensors = node, {}

            yield Attempt(f"the router is {what}", "knn", top)

            def features(export: Export, node: Any = node) -> None:
                with export.changing(FEATURES) as stored:
                    stored.value, stored.tensors = node, {}

            yield Attempt(f"the features are {what}", "knn", features)
    deep = 50_000 * '["list", ' + "null" + 50_000 * "]"
    for text in (
        f'{{"value": ["object", 0, {{"means_": {deep}}}], "classes": [], "functions": []}}',
        "",
        "no JSON",
        "[1]",
        "{}",
        '{"value": ' + 10**5 * "[",
        '{"value": ' + 10**6 * "9",
    ):

        def header(export: Export, text: str = text) -> None:
            export.stored().write(text)
            export.sign()

        yield Attempt(f"the structure is {text!r:.30}", "knn", header)


def _nested(depth: int) -> Any:
    node: Any = None
    for _ in range(depth):
        node = ["list", node]
    return node


def attributes(originals: dict[str, Path]) -> Iterator[Attempt]:
    """Give objects attributes that they do not have, take some away, and change the others."""

    def of(
        row: str,
        name: str,
        where: str,
        change: Callable[[dict[str, Any]], None],
        expected: Expected,
    ) -> Attempt:
        def rewrite(export: Export) -> None:
            with export.changing(name) as stored:
                # Of several objects of a class all.
                for own in stored.objects(where):
                    change(own)

        return Attempt("", row, rewrite, expected)

    more = ("__class__", "__dict__", "__init__", "predict", "overhead", "__reduce__", "__del__")
    more += ("get_params", "name", "grid", "", "a.b", "é", "fusion", "extra_")
    odd = (None, True, -1, 10**12, 0.5, "x", {}, ["list"], ["list", None], ["float", "nan"])
    for row, folder in originals.items():
        for name in (ROUTER, FEATURES):
            if not (folder / name).exists():
                continue
            stored, draw = Stored(folder / name), random.Random(f"{row} {name}")
            kinds = {stored.structure["classes"][node[1]] for node in stored.nodes("object")}
            for kind in sorted(own.split(":")[1] for own in kinds):
                for key in draw.sample(more, 3):
                    attempt = of(
                        row, name, kind, lambda own, key=key: own.update({key: 1}), "refused"
                    )
                    yield attempt._replace(what=f"a {kind} has an attribute {key!r}")
                for key, value in stored.objects(kind)[0].items():
                    attempt = of(row, name, kind, lambda own, key=key: own.pop(key), "refused")
                    yield attempt._replace(what=f"a {kind} has no attribute {key!r}")
                    for other in draw.sample(odd, 3):
                        attempt = of(
                            row,
                            name,
                            kind,
                            lambda own, key=key, other=other: own.update({key: other}),
                            "refused" if isinstance(value, list | dict) else "sound",
                        )
                        yield attempt._replace(what=f"a {kind}'s {key} is {other!r}")


def sizes() -> Iterator[Attempt]:
    """Let a router say that it is larger than it is, in its attributes and in its card alike."""
    for row, name in (
        *(("cmr", name) for name in ("width", "layers", "heads", "n_features_", "n_models_")),
        *(("vlc", name) for name in ("width", "layers", "heads", "n_features_", "n_models_")),
        *(("mlp", name) for name in ("n_features_", "n_models_", "epochs")),
        *(("ensemble", name) for name in ("n_trees", "min_samples_leaf")),
        ("knn", "n_neighbors"),
        ("kmeans", "n_clusters"),
    ):
        for value in (10**4, 10**12, 2**63):

            def change(export: Export, name: str = name, value: int = value) -> None:
                with export.changing() as stored:
                    stored.attributes[name] = value
                if not name.endswith("_"):
                    export.card["router"]["parameters"][name] = value
                export.write_card()

            yield Attempt(f"{name} is {value}, in the card too", row, change, "sound")
    for name, values in {
        "mode": ("finetune", "x"),
        "clip_model": ("EVA02-E-14-plus", "hf-hub:stranger/model", "/dev/zero.json", "../x.json"),
        "pretrained": ("openai", "/dev/zero", "x.pt"),
        "lambdas": (10**6 * [0.0], [], [-1.0], "x"),
        "scale": (1e308, -1.0),
    }.items():
        for value in values:

            def tuned(export: Export, name: str = name, value: Any = value) -> None:
                given = {name: value} | (
                    {} if name in ("lambdas", "scale") else {"mode": "finetune"}
                )
                with export.changing() as stored:
                    stored.attributes.update(_nodes_of(given | ({name: value})))
                export.card["router"]["parameters"] |= given | {name: value}
                export.write_card()

            yield Attempt(f"{name} is {value!r:.40}, in the card too", "vlc", tuned, "sound")


def numbers() -> Iterator[Attempt]:
    """Change the numbers and shapes of what a router holds."""
    for row in ("knn", "kmeans", "ensemble", "linear", "cmr", "mlp", "vlc"):
        for what, value in (("NaN", np.nan), ("inf", np.inf), ("1e308", 1e308)):

            def all_of(export: Export, value: float = value) -> None:
                with export.changing() as stored:
                    for name, tensor in stored.tensors.items():
                        if tensor.dtype.kind == "f":
                            with np.errstate(over="ignore"):
                                stored.tensors[name] = np.full_like(tensor, value)

            yield Attempt(
                f"all numbers of {row} are {what}",
                row,
                all_of,
                "sound" if value == 1e308 else "refused",
            )

        def shorter(export: Export) -> None:
            with export.changing() as stored:
                node = next(node for node in stored.nodes("array") if math.prod(node[2]) > 1)
                node[2][0] -= 1
                name = np.dtype(node[1]).name
                stop = stored.place(node).stop
                extra = math.prod(node[2][1:])
                stored.tensors[name] = np.delete(stored.tensors[name], range(stop, stop + extra))

        yield Attempt(f"the first array of {row} is one shorter", row, shorter, "sound")

        def fewer(export: Export) -> None:
            with export.changing() as stored:
                name = max(stored.tensors, key=lambda name: stored.tensors[name].size)
                stored.tensors[name] = stored.tensors[name][:-1]

        yield Attempt(f"{row} has a number less than it names", row, fewer)

        def more(export: Export) -> None:
            with export.changing() as stored:
                name = max(stored.tensors, key=lambda name: stored.tensors[name].size)
                stored.tensors[name] = np.append(stored.tensors[name], stored.tensors[name][:1])

        yield Attempt(f"{row} has a number more than it names", row, more)

    def forged_trees(attribute: str, value: int) -> Callable[[Export], None]:
        def forge(export: Export) -> None:
            with export.changing() as stored:
                for forest in stored.objects("_Forest"):
                    stored.numbers(forest[attribute])[:] = value

        return forge

    for what, attribute, value in (
        ("begin beyond their nodes", "roots", 2**40),
        ("begin before their nodes", "roots", -(2**40)),
        ("lead back to the root", "child", 0),
        ("lead far beyond their nodes", "child", 2**40),
        ("lead before their nodes", "child", -(2**40)),
        ("ask for features that are not there", "feature", 2**40),
        ("ask for features before the first", "feature", -(2**30)),
    ):
        yield Attempt(f"trees that {what}", "ensemble", forged_trees(attribute, value))

    def nothing_to_walk(export: Export) -> None:
        with export.changing() as stored:
            for forest in stored.objects("_Forest"):
                node = forest["roots"]
                place = stored.place(node)
                name = np.dtype(node[1]).name
                stored.tensors[name] = np.delete(stored.tensors[name], place)
                node[2][0] = 0

    yield Attempt("forests without a tree", "ensemble", nothing_to_walk)

    def projection(export: Export) -> None:
        with export.changing(FEATURES) as stored:
            stored.objects("Adaptive")[0]["statistics"] = "batch"
        export.sign()

    yield Attempt("a fusion that its card does not name", "knn", projection)

    def nan_features(export: Export) -> None:
        with export.changing(FEATURES) as stored:
            stored.tensors = {
                name: np.full_like(own, np.nan) for name, own in stored.tensors.items()
            }

    yield Attempt("all numbers of the features are NaN", "knn", nan_features)

    def fusion_of(name: str) -> Callable[[Export], None]:
        def change(export: Export) -> None:
            with export.changing(FEATURES) as stored:
                stored.value[2]["fusion"] = stored.made(name)

        return change

    for name in (
        "mmroute.features.fusion:Text",
        "mmroute.features.fusion:Tabular",
        "mmroute.encoders.builtin:Builtin",
    ):
        yield Attempt(f"the fusion is a {name}", "knn", fusion_of(name))


def curves() -> Iterator[Attempt]:
    """Change the curve that thresholds are chosen on."""
    asked = (TEXT, "--budget", "1000")
    for what, value in (("NaN", np.nan), ("inf", np.inf), ("negative", -1.0)):

        def change(export: Export, value: float = value) -> None:
            path = export[CURVE]
            if path.suffix == ".parquet":
                return
            with export.changing(path.name) as stored:
                stored.tensors = {
                    name: np.full_like(own, value) for name, own in stored.tensors.items()
                }

        yield Attempt(f"the curve is {what} throughout", "knn", change, "refused", asked)


# -- What was seen ------------------------------------------------------------------------


def told_of_a_log(attempt: Attempt) -> Attempt:
    """Ask the router what it would have done with a log, for which it reads what was seen."""
    return attempt._replace(command="shadow", arguments=(LOG,))


def seen() -> Iterator[Attempt]:
    """Change what drift is told by."""

    def with_content(change: Callable[[dict[str, Any]], None]) -> Callable[[Export], None]:
        def rewrite(export: Export) -> None:
            from mmroute import persistence

            content = persistence.read(export[SEEN], dict)
            # As many labels as drift is told by.
            for key in ("dataset", "vectors"):
                content[key] = np.concatenate([content[key]] * 5)
            change(content)
            export[SEEN].unlink()
            persistence.write(export[SEEN], content)
            export.sign()

        return rewrite

    def of(what: str, change: Callable[[dict[str, Any]], None], *expected: Expected) -> Attempt:
        return told_of_a_log(Attempt(f"seen: {what}", "knn", with_content(change), *expected))

    def is_(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
        return lambda content: content.update({key: value})

    yield of("five times as long", lambda content: None, "sound")
    for what in ("NaN", "inf", "-inf"):
        for key in ("vectors", "centre", "basis"):
            yield of(
                f"{key} is {what}",
                lambda own, key=key, what=what: own.update(
                    {key: np.full_like(own[key], float(what))}
                ),
            )
        for key in ("error", "variance", "ratio", "ratio_variance"):
            yield of(
                f"{key} is {what}",
                lambda own, key=key, what=what: own["calibration"].update({key: float(what)}),
            )
    for key in ("datasets", "dataset", "vectors", "centre", "basis", "calibration"):
        yield of(f"no {key}", lambda own, key=key: own.pop(key))
        for value in (None, "x", 3, [], {}, np.zeros(0), np.zeros((3, 3)), np.zeros(3, bool)):
            # Nothing is known of a calibration then.
            expected = "sound" if key == "calibration" and isinstance(value, dict) else "refused"
            yield of(f"{key} is {value!r:.30}", is_(key, value), expected)
    for key in ("vectors", "centre", "basis", "dataset"):
        yield of(f"{key} is cut", lambda own, key=key: own.update({key: own[key][:-1]}))
        yield of(f"{key} is a row", lambda own, key=key: own.update({key: own[key][None]}))
    yield of("another key", is_("extra", 1))
    yield of("a data set too many", lambda own: own["dataset"].__iadd__(10))
    yield of("a negative data set", lambda own: own["dataset"].__isub__(10))
    yield of("queries below 0", lambda own: own["calibration"].update(n_queries=-1))
    yield of("another key of the calibration", lambda own: own["calibration"].update(x=1))
    yield of("ten features more", lambda own: own.update(_wider(own)))
    for name in ("<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\x1b[31m", "\nno drift", ""):
        yield of(
            f"a data set called {name!r}",
            lambda own, name=name: own.update(datasets=[name] * len(own["datasets"])),
            "sound",
        )
    yield of("names are numbers", lambda own: own.update(datasets=[*range(len(own["datasets"]))]))
    vast = {"vectors": np.zeros((4 * 10**6, 8), np.float32), "basis": np.zeros((0, 5), np.float32)}
    vast |= {"dataset": np.zeros(4 * 10**6, int), "centre": np.zeros(0, np.float32)}
    yield of("of 4 million samples", lambda own: own.update(vast))
    yield of("numbers near the largest", lambda own: own["vectors"].fill(3e38))

    def gone(export: Export) -> None:
        export[SEEN].unlink()
        export.sign()

    yield told_of_a_log(Attempt("seen: no file, digests anew", "knn", gone, "sound"))
    for other in (ROUTER, CURVE):

        def swap(export: Export, other: str = other) -> None:
            shutil.copy(export[other], export[SEEN])
            export.sign()

        yield told_of_a_log(Attempt(f"seen: {other} in its place", "knn", swap))

    def of_another(export: Export) -> None:
        shutil.copy(export.originals["cmr"] / SEEN, export[SEEN])
        export.sign()

    yield told_of_a_log(Attempt("seen: that of cmr", "knn", of_another, "sound"))


def _wider(content: dict[str, Any]) -> dict[str, Any]:
    """The same of ten features more."""
    more = np.zeros((10, content["basis"].shape[1]), np.float32)
    centre = np.append(content["centre"], np.zeros(10, np.float32))
    return {"basis": np.vstack([content["basis"], more]), "centre": centre}


# -- The network --------------------------------------------------------------------------


def endpoints() -> Iterator[Attempt]:
    """Give a router that asks a chat model an endpoint and the name of a secret."""

    def to(endpoint: str, **given: Any) -> Callable[[Export], None]:
        def change(export: Export) -> None:
            own = endpoint.replace("HERE", export.address).replace(
                "OUTSIDE", str(export.place.root)
            )
            more = {
                key: str(value).replace("OUTSIDE", str(export.place.root))
                if key == "cache"
                else value
                for key, value in given.items()
            }
            asked = {"endpoint": own, "api_key_variable": SECRET_VARIABLE, **more}
            with export.changing() as stored:
                stored.attributes.update(asked)
            export.card["router"]["parameters"] |= asked
            export.write_card()

        return change

    yield Attempt("llm with an endpoint and a secret", "llm", to("HERE"))
    yield Attempt("llm with a secret in its URL", "llm", to("HERE/v1?key=" + SECRET_VARIABLE))
    for endpoint in (
        "http://198.51.100.7/v1",
        "https://stranger.example/v1",
        "http://user:password@127.0.0.1:9",
        "file:///etc/passwd",
        "ftp://198.51.100.7/",
        "unix:///tmp/x",
        "",
        "http://[::1",
        "HERE\r\nX: y",
    ):
        yield Attempt(f"llm with the endpoint {endpoint!r}", "llm", to(endpoint))
    for cache in ("../cache", "OUTSIDE/cache", "/etc", "/dev/null/x", "OUTSIDE/home/.ssh"):
        yield Attempt(f"llm that keeps answers in {cache}", "llm", to("HERE", cache=cache))
    for given in (
        {"timeout": 1e9},
        {"retries": 10**9},
        {"timeout": "x"},
        {"cards": {"a": "b" * 10**6}},
    ):
        yield Attempt(f"llm with {given!r:.60}", "llm", to("HERE", **given))

    def hidden(export: Export) -> None:
        with export.changing() as stored:
            other = Stored(export.originals["llm"] / ROUTER)
            given = other.attributes | {
                "endpoint": export.address,
                "api_key_variable": SECRET_VARIABLE,
            }
            stored.value = stored.made("mmroute.routers.llm:LLM", **_renumbered(given))
            stored.tensors |= other.tensors

    yield Attempt("llm behind the card of another router", "linear", hidden)

    def finetuned(export: Export) -> None:
        given = {"mode": "finetune", "clip_model": "ViT-B-32", "pretrained": "openai"}
        with export.changing() as stored:
            stored.attributes.update(given)
        export.card["router"]["parameters"] |= given
        export.write_card()

    yield Attempt("vlc that fetches towers", "vlc", finetuned)
    allowed = (TEXT, ALLOWED)
    for kind in ("drip", "flood", "deep", "digits", "redirect", "binary"):
        yield Attempt(
            f"an endpoint that answers with {kind}, the network allowed",
            "llm",
            to(f"HERE/{kind}", timeout=2.0),
            "sound",
            allowed,
        )
    yield Attempt(
        "answers are kept outside, the network allowed",
        "llm",
        to("HERE", cache="OUTSIDE/kept"),
        "sound",
        allowed,
    )


def _renumbered(given: dict[str, Any]) -> dict[str, Any]:
    """Return attributes without nodes of classes, which have other numbers elsewhere."""
    return {key: value for key, value in given.items() if key != "order_"} | {
        "order_": ["list", 0, 1, 2]
    }


def encoders() -> Iterator[Attempt]:
    """Name encoders that would be fetched, or read from anywhere."""

    def clip(model: str, pretrained: str) -> Callable[[Export], None]:
        def change(export: Export) -> None:
            spelled = [own.replace("EXPORT", str(export.folder)) for own in (model, pretrained)]
            parameters = dict(zip(("model", "pretrained"), spelled, strict=True))
            for modality in ("text", "image"):
                export.card["encoders"][modality] |= {
                    "name": "open_clip",
                    "parameters": parameters,
                    "checkpoint": None,
                }
            os.mkfifo(export["pipe.pt"])
            export["zero.pt"].symlink_to("/dev/zero")
            program = f"cposix\nsystem\n(S'{' '.join(export.command)}'\ntR."
            export["evil.pt"].write_bytes(program.encode())
            export["empty.pt"].write_bytes(b"")
            export["vast.json"].write_text(json.dumps(_CLIP | {"embed_dim": 10**9}))
            tokenizer = _CLIP["text_cfg"] | {"hf_tokenizer_name": "stranger/tokenizer"}
            export["hub.json"].write_text(json.dumps(_CLIP | {"text_cfg": tokenizer}))
            timm = {"timm_model_name": "resnet18", "timm_model_pretrained": True, "image_size": 32}
            export["timm.json"].write_text(json.dumps(_CLIP | {"vision_cfg": timm}))
            export["small.json"].write_text(json.dumps(_CLIP))
            export.write_card()

        return change

    for model, pretrained in (
        ("ViT-B-32", "openai"),
        ("RN50", "cc12m"),
        ("hf-hub:stranger/model", "x"),
        ("hf-hub:stranger/model", "EXPORT/evil.pt"),
        ("local-dir:EXPORT", "EXPORT/evil.pt"),
        ("EXPORT/small.json", "EXPORT/pipe.pt"),
        ("EXPORT/small.json", "EXPORT/zero.pt"),
        ("EXPORT/small.json", "EXPORT/evil.pt"),
        ("EXPORT/small.json", "EXPORT/empty.pt"),
        ("EXPORT/small.json", "EXPORT/gone.pt"),
        ("EXPORT/small.json", "/dev/zero"),
        ("EXPORT/small.json", "../../etc/passwd"),
        ("EXPORT/small.json", "https://stranger.example/x.pt"),
        ("EXPORT/small.json", "hf-hub:stranger/model"),
        ("EXPORT/vast.json", "EXPORT/evil.pt"),
        ("EXPORT/hub.json", "EXPORT/evil.pt"),
        ("EXPORT/timm.json", "EXPORT/evil.pt"),
        ("/dev/zero.json", "x"),
        ("../export/../../x.json", "x"),
        ("", ""),
    ):
        yield Attempt(f"open_clip {model} with {pretrained}", "knn", clip(model, pretrained))


def models() -> Iterator[Attempt]:
    """Name a model of transformers that would be fetched, or whose folder is hostile."""

    def model(name: str, revision: str, config: Any) -> Callable[[Export], None]:
        def change(export: Export) -> None:
            for modality in ("text", "image"):
                export.card["encoders"][modality] |= {
                    "name": "hugging_face",
                    "parameters": {"model": name, "revision": revision},
                    "checkpoint": None,
                }
            program = f"cposix\nsystem\n(S'{' '.join(export.command)}'\ntR."
            # Beside the router, which has no such files.
            folder = export.place.work / "model"
            folder.mkdir()
            (folder / "pytorch_model.bin").write_bytes(program.encode())
            (folder / "code.py").write_text(export.program)
            (folder / "config.json").write_text(json.dumps(config))
            export.write_card()

        return change

    own = {"model_type": "x", "auto_map": {"AutoConfig": "code.Model", "AutoModel": "code.Model"}}
    backbone = {"model_type": "dpt", "backbone": "stranger/x", "use_pretrained_backbone": True}
    for name, revision, config in (
        ("stranger/model", "0" * 40, {}),
        ("stranger/model", "", {}),
        ("model", "0" * 40, {}),
        ("model", "", own),
        ("model", "", backbone),
        ("model", "", {"model_type": "bert"}),
        ("model", "", {"model_type": "bert", "hidden_size": 10**9}),
        ("model", "", [1]),
        ("/", "", {}),
        ("/dev/zero", "", {}),
        ("", "", {}),
    ):
        what = f"transformers {name} {revision[:7]} {json.dumps(config)}"
        yield Attempt(what, "knn", model(name, revision, config))


_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def folders() -> Iterator[Attempt]:
    """Put modules where the command runs that are called as others; name files outside."""
    names = ("json", "numpy", "pandas", "torch", "sklearn", "safetensors", "psutil", "open_clip")
    names += ("mmroute", "typing", "yaml", "sitecustomize", "encodings", "requests", "my_routers")
    for name in names:

        def change(export: Export, name: str = name) -> None:
            (export.place.work / f"{name}.py").write_text(export.program)

        yield Attempt(f"{name}.py lies where the command runs", "knn", change, "same", fresh=True)

    def everywhere(export: Export) -> None:
        for name in names:
            export[f"{name}.py"].write_text(export.program)

    yield Attempt("modules lie in the folder", "knn", everywhere, "same")
    yield Attempt(
        "modules lie where the command runs, one is trusted",
        "knn",
        lambda export: (export.place.work / "evil.py").write_text("x = 1\n"),
        "same",
        (TEXT, "--image", "query.png", "--trust", "evil"),
    )


FAMILIES = (
    classes_in_cards,
    parameters_in_cards,
    values_in_cards,
    keys_in_cards,
    texts_of_cards,
    tampered,
    swapped,
    no_files,
    digest_lists,
    gadgets,
    structures,
    sizes,
    numbers,
    curves,
    seen,
    endpoints,
    encoders,
    models,
    folders,
)


# -- Cards, at random ---------------------------------------------------------------------

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 1e300, -1e-9, math.nan, math.inf, 10**12, 10**30, 10**400),
    *("", "a", "0.5", "lambda", "knn", "psutil:Popen", "../x", "\x00", "\x1b[31m", "y" * 10**5),
    *([], [1], [[]], [None], {}, {"x": 1}, {"": {}}, [{}] * 1000, [math.nan]),
)
WORDS = ("benchmark", "reason", "mmroute")
POSITIVE = ("threshold", "unit_usd", "cost_usd", "utility", "rho", "means", "n_neighbors")


def _kind(value: Any) -> type:
    if isinstance(value, bool) or value is None:
        return type(value)
    return float if isinstance(value, int | float) else type(value)


def _expected(path: Path_, before: Any, after: Any) -> Expected:
    """Judge whether a card may say so, from what a reader of the card would say."""
    if isinstance(after, float) and not math.isfinite(after):
        return "refused"
    nullable = path[0] == "measured" or "usd_per_1m" in str(path[-1]) or path[-1] == "checkpoint"
    if _kind(before) is not _kind(after):
        return "sound" if nullable or {_kind(before), _kind(after)} <= {list, dict} else "refused"
    if path[0] in WORDS or path[0] == "measured":
        return "sound"
    if isinstance(after, float | int) and not isinstance(after, bool):
        negative = after < 0 and any(part in POSITIVE for part in path)
        return "refused" if negative or abs(after) >= 10**400 else "sound"
    if path == ("policy",):
        return "sound" if after in ("lambda", "budget") else "refused"
    if path[-1] == "name":
        return "same" if after == before else "refused"
    return "sound"


def drawn(seed: int, originals: dict[str, Path]) -> Attempt:
    """Draw a change of one place of a card; the same seed draws the same."""
    draw = random.Random(seed)
    row = draw.choice(sorted(originals))
    card = json.loads((originals[row] / CARD).read_text())
    places = list(_places(card))
    # The many numbers of a probe are one place.
    of_probes = [path for path in places if "probe" in path[:-1]]
    path = draw.choice([path for path in places if path not in set(of_probes[2:])])
    before = card
    for key in path:
        before = before[key]
    value = copy.deepcopy(draw.choice(VALUES))
    shown = ".".join(map(str, path))
    if draw.random() < 0.2:
        return Attempt(
            f"{row}: {shown} is {value!r:.40}, digests as they were",
            row,
            lambda export: (_set(export.card, path, value), export.write_card(sign=False)),
            "same" if value == before and type(value) is type(before) else "refused",
        )
    return card_is(row, row, path, value, _expected(path, before, value))


def _places(content: Any, path: Path_ = ()) -> Iterator[Path_]:
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*path, key))


# -- Running ------------------------------------------------------------------------------


class Adversary:
    """Makes attempts on small exports of its own.

    Parameters
    ----------
    folder
        For the exports, and for one attempt after the other.
    """

    def __init__(self, folder: Path) -> None:
        from exported import ROWS, make

        import mmroute.cli
        import mmroute.decision.deployed  # noqa: F401
        from mmroute.catalogue import catalogue

        for package in ("encoders", "routers"):
            for entry in catalogue(package).values():
                importlib.import_module(entry.module)
        # What encoders import later; of it PyTorch makes an empty folder for temporary files.
        importlib.import_module("sentence_transformers")
        in_fork(lambda: make(folder / "made"))
        self.folder = folder
        self.originals = {row: folder / "made/exports" / row for row in ROWS}
        self.by_hand = [attempt for family in FAMILIES for attempt in family()]
        self.by_hand += attributes(self.originals)
        # Spread, so that a few of them are of all kinds.
        random.Random(0).shuffle(self.by_hand)
        self.watch = Watch(folder / "watch", LONGEST_SECONDS, MOST_BYTES)
        self._unchanged: dict[tuple[str, str, tuple[str, ...]], str] = {}

    def attempt(self, seed: int) -> Attempt:
        """Return the attempt of a seed."""
        if seed < len(self.by_hand):
            return self.by_hand[seed]
        return drawn(seed, self.originals)

    def examine(self, seed: int) -> Outcome:
        """Make the attempt of a seed."""
        attempt = self.attempt(seed)
        try:
            kind, message = self._judge(attempt, self._run(attempt))
        except NotMade as error:
            kind, message = "failed", f"the attempt could not be made: {error}"
        return Outcome(seed, kind, f"{attempt.what} ({attempt.row})", message)

    def _run(self, attempt: Attempt) -> Ended:
        place = Place(Path(tempfile.mkdtemp(prefix="attempt", dir=self.folder)))
        place.make()
        try:
            in_fork(
                lambda: attempt.change(
                    Export(attempt.row, place, self.originals, self.watch.address)
                )
            )
            arguments = [attempt.command, str(place.root / "export"), *attempt.arguments]
            action = anew(arguments) if attempt.fresh else command_line(arguments)
            return self.watch.watch(place, action)
        finally:
            shutil.rmtree(place.root)

    def _judge(self, attempt: Attempt, ended: Ended) -> tuple[str, str]:
        misdeeds = [*ended.misdeeds]
        if ALLOWED in attempt.arguments:
            misdeeds = [own for own in misdeeds if not _reaches_the_endpoint(own)]
        if misdeeds:
            return "failed", f"{'; '.join(misdeeds):.600}; {ended.told()}"
        if (line := ended.refusal()) is not None:
            return "refused", line
        if ended.code:
            return "failed", f"not one line: {ended.told()}"
        if attempt.expected == "refused":
            return "failed", f"taken: {ended.told()}"
        wrong = unsound(ended) if attempt.command == "route" else unclear(ended)
        if wrong is not None:
            return "failed", f"{wrong}: {ended.told()}"
        if attempt.expected == "same" and ended.said != self._answer(attempt):
            return "failed", f"answers otherwise: {ended.told()}"
        return "handled", ended.said

    def _answer(self, attempt: Attempt) -> str:
        """Return what the unchanged router says."""
        key = attempt.row, attempt.command, attempt.arguments
        if key not in self._unchanged:
            ended = self._run(attempt._replace(change=lambda export: None, fresh=False))
            assert (ended.code, ended.misdeeds) == (0, ()), ended
            self._unchanged[key] = ended.said
        return self._unchanged[key]


def _reaches_the_endpoint(misdeed: str) -> bool:
    """Tell whether a router has sent its query where it may."""
    allowed = ("looked up '127.0.0.1'", "connected to ('127.0.0.1'", "the network was reached")
    return misdeed.startswith(allowed)


def anew(arguments: Sequence[str]) -> Callable[[], None]:
    """Return what runs ``mmroute`` in a new Python, as its command does."""
    command = [sys.executable, "-P", "-c", "from mmroute.cli import app; app()", *arguments]

    def run() -> None:
        sys.exit(subprocess.run(command, check=False).returncode)

    return run


def unsound(ended: Ended) -> str | None:
    """Return what is wrong with an answer, None if nothing is."""
    if any(ord(character) < 32 and character not in "\n\t" for character in ended.complained):
        return "complains in control characters"
    try:
        (line,) = ended.said.splitlines()
        said = json.loads(line)
        models = set(said["utility"])
        values = [*said["utility"].values(), *said["cost_usd"].values(), said["confidence"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "no answer"
    if said["model"] not in models or set(said["cost_usd"]) != models:
        return "a model that is not in the pool"
    if not all(isinstance(value, float | int) and math.isfinite(value) for value in values):
        return "no finite numbers"
    if not 0 <= said["confidence"] <= 1:
        return "a confidence that is none"
    return None


def unclear(ended: Ended) -> str | None:
    """Return what is wrong with what is told of a log, None if nothing is."""
    told = ended.said + ended.complained
    if any(ord(character) < 32 and character not in "\n\t" for character in told):
        return "tells in control characters"
    if re.search(r"^no drift", ended.said, re.MULTILINE):
        return "takes a name for what was told"
    if not ended.said.startswith("60 decisions") or re.search(r"\b(nan|inf)", ended.said):
        return "tells no number"
    return None


def run(seeds: Iterable[int]) -> Iterator[Outcome]:
    """Make the attempts of some seeds, in a process of their own."""
    return outcomes(Path(__file__), seeds)


def main() -> int:
    """Make as many attempts as asked, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print every attempt")
    parser.add_argument("--worker", nargs="*", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker is not None:
        with tempfile.TemporaryDirectory() as name:
            adversary = Adversary(Path(name))
            try:
                answer(adversary.examine, asked.worker)
            finally:
                adversary.watch.close()
        return 0
    counts: Counter[str] = Counter()
    for outcome in run(range(asked.seed, asked.seed + asked.count)):
        counts[outcome.kind] += 1
        if asked.verbose or outcome.kind == "failed":
            print(f"{outcome.kind}: seed {outcome.seed}: {outcome.what}\n    {outcome.message}")
    told = ", ".join(f"{counts[kind]} {kind}" for kind in ("handled", "refused", "failed"))
    print(f"{asked.count} hostile exports from seed {asked.seed}: {told}")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
