import copyreg
import gzip
import io
import os
import pickle
import struct
import subprocess
import zlib
from base64 import b64decode
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmroute.errors import InputError
from mmroute.sources.pickles import read_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
TABLE = pd.DataFrame({"i": [1, 2], "f": [1.5, None], "s": ["x", None], "b": [True, False]})
# A table as pandas wrote it, zlib and base64.
OLD = {
    "1.5.3": (
        "eNptVMFu00AQjR2HQgu0VQUUUXHgVA5YqoQQB6SKJlClFkZCcKNare1N1opjW/aaJhIVcKBtpL1l+Aj+gDs/"
        "wmdwg9l1QmwaW/Lu2vNm3r5568/Wt9Rq6EtupjQOaG77ScbsXkaHDOS1DhX0pZ5P4eEXOIVdaZFhPwN5vxoe"
        "xoJlMY1ye0hj2mdZDvL6QZT4g1flGuHy9gxBotDLFxCQ66SI09AfRIx4CqOCb8XFMB2X2YdFJEKaZXSMWUnG"
        "/CTORVb4QgW2dCDIFcytQ6bgNL5C2/DgHN7ArmPgbZ4BX5etQIxTtRNp9p7C5KL83pTGM3Bd9+gPXvrhNAR4"
        "k/ZGKcyv/XL8/QnwtbzqFSHSiZF3K49Cn+mCqopK55jqydf4Tb6paPCtOoltab6ulf74X+l9VfoYZTZ/fgeX"
        "4Yo/UNh6erlV01JvHAntEJKORws13c5z9eWA+gMWqH3XmlaibJ8K1k+y0KcRyLV2ZTWFox/v391wVU15twrV"
        "QuazAeRGBdWZaTxzy+o8vYrbrnsmYCNM4tEcnbZKYnZCuuodgvkL2ZrPtecC9CFcFtXExSMtl1GAND6AEkxa"
        "sTKsW5wp3itJFrAMtz8pvOUJsCfh3qIn3F5mBrNhqPafoqlUR0ynWe3IOSAHfsi7SJY7l8s0//Fs8lCAtAQb"
        "qWGAImjO/G1Jlx/Ke8tEQpMzlBd16sbiyeOKNsvKzXdVcRrfWWpxo/R2w5yNoLkgNADNh2kNLYJNxb+B6sL8"
        "z0CGTFDdlmM8CVQIPPOnIK+QXkT7enqHRlFykpOgSPGcoA1IRD2GB/4iLzz7L3t5wOM="
    ),
    "2.2.3": (
        "eNp9U01v00AQjR2nhRbRVpWgSBVInMoBS9x6QKpoQlFrYSTEtVqt7U3Wir9kr2kiEQEH2kbaW4Yfwe/gj/AX"
        "uHGD2XVCbBphS95d77yZt2/efrK+nlgt/cidjCYBLWw/zZndz2nMQN7uUUFP9HwGTz7DBA6kReJBDvJhPTxM"
        "BMsTGhV2TBM6YHkB8s5xlPrD19Ua4fLeHEGi0CuWEJBbpEyy0B9GjHgKo4OTMs7GNtHp4zISIc1zOsa0JGd+"
        "mhQiL32hIjs6EuQ6JtchM3BaX6BreHAFb+HAMfA1L4FvyU4gxpk6ijT7hzC9rvbb0ngOruue/cZHf5yWAG/a"
        "3a6U+XFUjb8+Av6Wt7wyRDoJEu8UUegzXVBVUekcU335Jr/LdxQNvtsksSfNN43SH/4pfaRKn6PO5vdv4DJc"
        "8ccK20wvdxti6oMjoX1CsvFoKafbe6F2jqk/ZIE6d6NrFcr2qWCDNA99GoHc7NZWMzh7tPbTclVN+aAO1UIW"
        "8wHkdg3Vm2s8t8vGIr2K22uaJmAjTOLRAq22QRJ2QU7VPwTzl7KzmGvTBWhEuCmqiYunWi6jBGm8ByWYtBLl"
        "WLe8VLzX0zxgOR5/WnqrE2BPwmfLnnB7lRnMlqHaP0FTqY6YTrvekStADvwVP0Wy3LlZpv2XZ5uHAqQl2EgN"
        "QxRBc+bvKrr/ybGgWrMP31/pW6MybMucj6ALIDQAXYRpYSyCncI7rqRd3HcSM0G11udobyoE3uQJyDXSj+hA"
        "T+/TKEovChKUGZofe0si6jG8xtdF6dl/AEStr8g="
    ),
}


def stored(folder, content):
    path = folder / "data.pkl"
    path.write_bytes(content)
    return path


def through(folder, value, protocol=pickle.DEFAULT_PROTOCOL):
    return read_pickle(stored(folder, pickle.dumps(value, protocol)))


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def short_text(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "frame",
    [
        TABLE,
        TABLE.astype(object),
        TABLE.set_index("s"),
        TABLE.set_index(["i", "s"]),
        TABLE.iloc[1:],
        TABLE.iloc[:0],
        TABLE.assign(z=2, y="3")[["y", "s", "z", "i"]],
        pd.concat([TABLE, TABLE]),
        pd.DataFrame(),
        pd.DataFrame({"a": [1], 1: [2.0]}),
        pd.DataFrame([[1, "x"]], columns=["twice", "twice"]),
        pd.DataFrame({"c": pd.Categorical(["x", None]), "o": pd.Categorical([1, 2], ordered=True)}),
        pd.DataFrame({"d": pd.to_datetime(["2020-01-01", None]), "t": pd.to_timedelta([1, 2])}),
        TABLE.set_index(pd.DatetimeIndex(["2020-01-01", "2021-01-01"])),
        TABLE.set_index(pd.CategoricalIndex(["x", "y"])),
        pd.DataFrame({"arrow": pd.array(["x", None], "string[pyarrow]")}),
        pd.DataFrame({"python": pd.array(["x", None], "string[python]")}),
        pd.DataFrame({"lists": [[1, 2], [3, 4]], "dicts": [{"a": 1}, None]}),
        pd.DataFrame(
            np.arange(4.0).reshape(2, 2).T, columns=pd.MultiIndex.from_product([["a", "b"], ["c"]])
        ),
    ],
)
def test_a_table_comes_back_as_it_was(tmp_path, frame, protocol):
    path = tmp_path / "data.pkl"
    frame.to_pickle(path, protocol=protocol)
    pd.testing.assert_frame_equal(read_pickle(path), frame)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_series_comes_back_with_its_name_and_index(tmp_path, protocol):
    for name in ("f", "s"):
        series = TABLE.set_index("i")[name]
        pd.testing.assert_series_equal(through(tmp_path, series, protocol), series)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0, dtype="f4").reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.asfortranarray(np.array([["a", 1], [None, [1]]], dtype=object)),
        np.arange(16).reshape(4, 4)[::2, ::2],
        np.array(["ab", "é"]),
        np.array([b"x"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1, 2], ">i4"),
        np.array([True, False]),
        np.array(1.5),
        np.empty((0, 3)),
    ],
)
def test_an_array_comes_back_as_it_was(tmp_path, array, protocol):
    back = through(tmp_path, {"deep": [array]}, protocol)["deep"][0]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tolist() == array.tolist()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_and_containers_come_back(tmp_path, protocol):
    values = [
        *(None, True, 1, 2**100, 1.5, 1j, "é", b"x", b"", bytearray(b"y"), bytearray()),
        *((1, (2,)), {"a": [1]}, {1, "a"}, frozenset([2]), OrderedDict(a=1)),
        *(np.float64(1), np.int8(3), np.str_("a"), np.str_(""), np.bool_(True), pd.NA),
    ]
    back = through(tmp_path, values, protocol)
    assert list(map(type, back)) == list(map(type, values))
    assert repr(back) == repr(values)


def test_what_is_shared_stays_shared(tmp_path):
    array = np.arange(3)
    first, second = through(tmp_path, [array, array], 2)
    assert first is second


@pytest.mark.parametrize("version", OLD)
def test_a_table_of_an_older_pandas_is_read(tmp_path, version):
    frame = read_pickle(stored(tmp_path, zlib.decompress(b64decode(OLD[version]))))
    assert frame.index.name == "id"
    assert frame.index.tolist() == [1, 2]
    assert frame["text"].tolist() == ["é", None]
    assert frame["kind"].tolist() == ["u", "v"]
    np.testing.assert_array_equal(frame["hit"], [0.5, np.nan])


@pytest.mark.parametrize(
    "place", ["alone", "in a column", "in an array", "as a key", "in an index"]
)
@pytest.mark.parametrize(
    ("name", "function", "arguments"),
    [
        ("system", os.system, ("touch {marker}",)),
        ("Popen", subprocess.Popen, (["touch", "{marker}"],)),
        ("eval", eval, ("open('{marker}', 'w')",)),
        ("exec", exec, ("open('{marker}', 'w')",)),
        ("__import__", __import__, ("os",)),
        ("getattr", getattr, (os, "system")),
        ("open", open, ("{marker}", "w")),
        ("runstring", np.testing.runstring, ("open('{marker}', 'w')", {})),
        ("eval", pd.eval, ("1",)),
        ("read_pickle", pd.read_pickle, ("{marker}",)),
        ("save", np.save, ("{marker}", "1")),
        ("memmap", np.memmap, ("{marker}", "u1", "w+", 0, (1,))),
    ],
)
def test_a_call_is_refused_and_does_not_happen(tmp_path, name, function, arguments, place):
    marker = tmp_path / "marker"
    given = [
        [part.format(marker=marker) for part in argument]
        if isinstance(argument, list)
        else argument.format(marker=marker)
        if isinstance(argument, str)
        else "os"
        for argument in arguments
    ]
    call = Call(function, *given)
    value = {
        "alone": call,
        "in a column": pd.DataFrame({"a": pd.Series([call], dtype=object)}),
        "in an array": np.array([[call]]),
        "as a key": {call: 1},
        "in an index": pd.Series([1], index=pd.Index([call])),
    }[place]
    for protocol in PROTOCOLS:
        path = stored(tmp_path, pickle.dumps(value, protocol))
        with pytest.raises(InputError, match=rf"names '.*{name}'.* was not loaded") as raised:
            read_pickle(path)
        assert "\n" not in str(raised.value)
        assert not marker.exists()


def test_the_attack_of_these_tests_would_work(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(Call(os.system, f"touch {marker}")))
    assert marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "testing.runstring"),
        ("pandas", "io.common.os.system"),
        ("pandas", "DataFrame.to_pickle"),
        ("pandas", "DataFrame.__init__.__globals__"),
        ("numpy", "ndarray.tofile"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("operator", "attrgetter"),
        ("functools", "partial"),
        ("numpy", "memmap"),
        ("numpy", "vectorize"),
        ("mmroute.sources.pickles", "_ADMITTED"),
    ],
)
def test_a_name_that_is_not_listed_is_refused_however_it_is_spelled(tmp_path, module, name):
    modern = b"\x80\x04" + short_text(module) + short_text(name) + b"\x93."
    ancient = f"c{module}\n{name}\n.".encode()
    instance = f"(i{module}\n{name}\n.".encode()
    for content in (modern, ancient, instance):
        with pytest.raises(InputError, match=f"names '{module}.{name}'"):
            read_pickle(stored(tmp_path, content))


@pytest.mark.parametrize("opcode", [b"\x82\x7b", b"\x83\x7b\x00", b"\x84\x7b\x00\x00\x00"])
def test_extension_codes_are_refused_even_where_they_are_known(tmp_path, opcode):
    marker = tmp_path / "marker"
    copyreg.add_extension("os", "system", 0x7B)
    try:
        call = b"\x80\x02" + opcode + b"(" + b"X" + struct.pack("<I", len(f"touch {marker}"))
        call += f"touch {marker}".encode() + b"tR."
        pickle.loads(call)
        assert marker.exists()
        marker.unlink()
        with pytest.raises(InputError, match="extension code 123"):
            read_pickle(stored(tmp_path, call))
        assert not marker.exists()
    finally:
        copyreg.remove_extension("os", "system", 0x7B)


def test_references_to_the_outside_are_refused(tmp_path):
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream)
    pickler.persistent_id = lambda value: "elsewhere"
    pickler.dump([1])
    for content in (stream.getvalue(), b"Pelsewhere\n."):
        with pytest.raises(InputError, match="'elsewhere' outside the file"):
            read_pickle(stored(tmp_path, content))


@pytest.mark.parametrize(
    "target", [b"cpandas\nDataFrame\n", b"cnumpy\ndtype\n", b"cpandas\nNA\n", b"]", b"}"]
)
def test_no_attribute_of_anything_can_be_set(tmp_path, target):
    state = b"(N}X\x05\x00\x00\x00shapeK\x01st"
    with pytest.raises(InputError, match="sets the state of"):
        read_pickle(stored(tmp_path, target + state + b"b."))
    assert TABLE.shape == (2, 4)


def test_a_tensor_is_refused_with_the_way_out(tmp_path):
    content = b"ctorch._utils\n_rebuild_tensor_v2\n."
    with pytest.raises(InputError, match=r"'torch\._utils.*NumPy arrays, by tensor\.numpy\(\)"):
        read_pickle(stored(tmp_path, content))


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(1, "i4,O"),
        np.ma.masked_array([1]),
        pd.DataFrame({"a": pd.array([1, None], "Int64")}),
        pd.DataFrame({"a": pd.to_datetime(["2020-01-01"], utc=True)}),
        pd.Timestamp("2020-01-01"),
        Path("x"),
    ],
)
def test_what_is_harmless_but_not_plain_is_refused_by_name(tmp_path, value):
    with pytest.raises(InputError, match="names '|holds values of dtype"):
        through(tmp_path, value, 2)


OBJECTS = (3, "|", None, None, None, -1, -1, 63)
NUMBERS = (3, "<", None, None, None, -1, -1, 0)


class State(Call):
    """Pickles as a call followed by a state."""

    def __init__(self, state, function, *arguments):
        self.call = function, arguments, state


def array(shape, text, flags, content):
    dtype = State(flags, np.dtype, text, False, True)
    return State((1, shape, dtype, False, content), pickle_name(), np.ndarray, (0,), b"b")


def pickle_name():
    return np.array([1]).__reduce__()[0]


def test_the_arrays_of_the_next_test_are_well_made(tmp_path):
    assert through(tmp_path, array((1,), "O8", OBJECTS, ["a"]), 2).tolist() == ["a"]
    assert through(tmp_path, array((1,), "i8", NUMBERS, b"\1" + bytes(7)), 2).tolist() == [1]


@pytest.mark.parametrize(
    "value",
    [
        # Bytes as pointers, by a dtype that says it holds no objects.
        array((1,), "O8", (*OBJECTS[:-1], 0), b"A" * 8),
        array((2**40,), "i8", NUMBERS, b"A" * 8),
        array((2**40,), "O8", OBJECTS, ["a"]),
        array((2**40, 0), "i8", NUMBERS, b""),
        array((1,), "i8", NUMBERS, 2**40),
        Call(bytearray, 2**40),
        Call(bytes, 2**40),
    ],
)
def test_made_up_memory_is_refused(tmp_path, value):
    with pytest.raises(InputError, match="not readable as a pickle"):
        through(tmp_path, value, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"A.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"A.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"A.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"A.",
        b"\x80\x02K\x01r\xff\xff\xff\x7f",
    ],
)
def test_an_announced_size_takes_no_memory(tmp_path, content):
    with pytest.raises(InputError, match="not readable as a pickle"):
        read_pickle(stored(tmp_path, content))


def test_a_table_whose_parts_do_not_fit_is_refused(tmp_path):
    good = pickle.dumps(pd.DataFrame({"a": np.arange(300)}), 4)
    # The number of rows in the row index.
    assert good.count(b"M\x2c\x01") == 2
    bad = b"M\x2d\x01".join(good.rsplit(b"M\x2c\x01", 1))
    with pytest.raises(InputError, match=r"does not name 300 rows"):
        read_pickle(stored(tmp_path, bad))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_anywhere_is_one_line_of_error(tmp_path, protocol):
    whole = pickle.dumps(TABLE, protocol)
    for end in range(0, len(whole), 7):
        with pytest.raises(InputError, match=r"data\.pkl: .*; .*") as raised:
            read_pickle(stored(tmp_path, whole[:end]))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08", b"\x80\x09.", b"."])
def test_what_is_no_pickle_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="not readable as a pickle"):
        read_pickle(stored(tmp_path, content))


def test_gzip_is_unpacked_and_bounded(tmp_path, monkeypatch):
    whole = gzip.compress(pickle.dumps([1, "two"]))
    path = stored(tmp_path, whole)
    assert read_pickle(path) == [1, "two"]
    for broken in (whole[:-9], gzip.compress(b""), whole[:2], gzip.compress(b"no pickle")):
        with pytest.raises(InputError, match="not readable as a pickle"):
            read_pickle(stored(tmp_path, broken))
    monkeypatch.setattr("mmroute.sources.pickles.MOST_UNPACKED", 1000)
    with pytest.raises(InputError, match=r"unpacks to more than 1,000 bytes; unpack the file"):
        read_pickle(stored(tmp_path, gzip.compress(pickle.dumps("a" * 1000))))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.pkl: not readable"):
        read_pickle(tmp_path / "gone.pkl")


# Pickles by hand: a leaf, and then again and again a container of two (or one) of what is there.
HEAD, LEAF = b"\x80\x04", b"K\x01\x94"
PAIR = {
    "tuples": lambda memo: b"0h%ch%c\x86\x94" % (memo, memo),
    "lists": lambda memo: b"0]\x94(h%ch%ce" % (memo, memo),
    "dictionaries": lambda memo: b"0}\x94(K\x01h%cK\x02h%cu" % (memo, memo),
}
LEVELS = 60


def doubled(kind):
    return LEAF + b"".join(PAIR[kind](memo) for memo in range(LEVELS))


def doubled_sets():
    """Return a tuple of a frozenset twice, in a frozenset, in a tuple twice, and so on."""
    levels = (
        b"0h%ch%c\x86\x940(h%c\x91\x94" % (memo, memo, memo + 1) for memo in range(0, 2 * LEVELS, 2)
    )
    return LEAF + b"".join(levels)


def doubled_from_the_top():
    """Return lists that are filled only when they stand in another one."""
    made = b"]\x94" * (LEVELS + 1)
    filled = (b"h%c(h%ch%ce0" % (memo, memo + 1, memo + 1) for memo in range(LEVELS))
    return made + b"".join(filled) + b"h\x00"


@pytest.mark.parametrize(
    "content",
    [
        *map(doubled, PAIR),
        doubled_sets(),
        doubled_from_the_top(),
        # Where it is hashed: as a key, in a set, in an old set, and as a name.
        b"}" + doubled("tuples") + b"K\x01s",
        b"}(" + doubled("tuples") + b"K\x01u",
        b"(" + doubled("tuples") + b"K\x01d",
        b"\x8f(" + doubled("tuples") + b"\x90",
        b"c__builtin__\nset\n(](" + doubled("tuples") + b"etR",
        b"ccollections\nOrderedDict\n(](](" + doubled("tuples") + b"K\x01eetR",
        b"(](" + doubled("tuples") + b"ei__builtin__\nset\n",
    ],
)
def test_what_is_shared_over_and_over_is_refused_at_once(tmp_path, content):
    with pytest.raises(InputError, match=r"in so many places|a key of more than|holds itself"):
        read_pickle(stored(tmp_path, HEAD + content + b"."))


@pytest.mark.parametrize("kind", [tuple, list])
@pytest.mark.parametrize("place", ["name", "columns", "levels", "cell", "array"])
def test_what_is_shared_is_found_within_tables(tmp_path, place, kind):
    value = kind((1,))
    for _ in range(LEVELS):
        value = kind((value, value))
    held = np.empty(1, object)
    held[0] = value
    series = pd.Series([1])
    object.__setattr__(series, "_name", value)
    table = {
        "name": lambda: series,
        "columns": lambda: pd.DataFrame([[1]], columns=pd.Index(held, dtype=object)),
        "levels": lambda: pd.Series([1], index=pd.Index(held, dtype=object)),
        "cell": lambda: pd.DataFrame({"a": pd.Series(held)}),
        "array": lambda: held.reshape(1, 1),
    }[place]()
    # A name that is a list is none.
    with pytest.raises(InputError, match="in so many places|name must be a hashable"):
        through(tmp_path, table)


@pytest.mark.parametrize(
    "shared",
    [[["x"] * 1000] * 1000, "x" * 10**6, b"x" * 10**6, np.zeros(10**6), {"a": "x" * 10**6}],
)
def test_little_that_stands_for_terabytes_is_refused(tmp_path, shared):
    with pytest.raises(InputError, match="stands for more than"):
        through(tmp_path, [[shared] * 1000] * 1000)


def test_what_is_made_again_and_again_of_one_part_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mmroute.sources.pickles.LEAST_MEANT", 10**6)
    monkeypatch.setattr("mmroute.sources.pickles.TIMES_MEANT", 1)
    items = b"]\x94(" + b"".join(b"J" + struct.pack("<i", number) for number in range(10**4)) + b"e"
    sets = b"c__builtin__\nset\n\x940" + items + b"0" + b"h\x00h\x01\x85R0" * 50
    arrays = pickle.dumps([np.zeros(10), b"x" * 10**4], 4)
    with pytest.raises(InputError, match="stands for more than"):
        read_pickle(stored(tmp_path, HEAD + sets + b"N."))
    assert read_pickle(stored(tmp_path, arrays))[0].tolist() == [0] * 10


@pytest.mark.parametrize(
    "content",
    [
        b")" + b"\x85" * 10**5,
        b"})" + b"\x85" * 10**5 + b"K\x01s",
        b"]" * 10**5 + b"a" * (10**5 - 1),
        b"(" * 10**5 + b")" + b"\x91" * 10**5,
        b"}K\x01" * 10**5 + b"N" + b"s" * 10**5,
        b"(" * 10**5 + b"l" * 10**5,
    ],
)
def test_what_nests_without_end_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="nests more than 100"):
        read_pickle(stored(tmp_path, HEAD + content + b"."))


@pytest.mark.parametrize("content", [b"]\x94h\x00a", b"}\x94K\x01h\x00s", b"]\x94]\x94h\x00aa"])
def test_what_holds_itself_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="holds itself"):
        read_pickle(stored(tmp_path, HEAD + content + b"."))


def test_what_is_shared_as_data_does_is_no_error(tmp_path):
    text, options = "a question " * 100, ("A", "B")
    rows = [{"question": text, "options": options, "deep": [[[[1]]]]} for _ in range(1000)]
    assert through(tmp_path, rows) == rows
    assert through(tmp_path, {("A", 1): 2, frozenset(options): 3}) == {
        ("A", 1): 2,
        frozenset(options): 3,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("base", "power"), [(10, 5000), (-10, 401), (2, 1023)])
def test_a_number_that_is_none_of_data_is_refused(tmp_path, base, power, protocol):
    said = r"whole number of [\d,]+ bits|not readable as a pickle"
    try:
        content = pickle.dumps([base**power], protocol)
    except ValueError:
        # Python writes no such number as text, but others do.
        content = b"(lL1" + b"0" * 5000 + b"L\na."
    with pytest.raises(InputError, match=said):
        read_pickle(stored(tmp_path, content))
    assert through(tmp_path, [2**1022, -(10**300)], protocol) == [2**1022, -(10**300)]


@pytest.mark.parametrize("target", [b"cpandas\nNA\n", b"]", b"\x8f"])
def test_items_are_set_in_dictionaries_only(tmp_path, target):
    with pytest.raises(InputError, match="sets items of a"):
        read_pickle(stored(tmp_path, HEAD + target + b"K\x01K\x02s."))
    with pytest.raises(InputError, match="adds items to a|not readable"):
        read_pickle(stored(tmp_path, HEAD + b"}(K\x01\x90."))
