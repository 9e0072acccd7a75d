"""A config's file is read strictly: what stands there twice, or for too much, is refused."""

import pytest

from mmroute.config.file import DEEPEST, MOST_VALUES, read
from mmroute.errors import InputError


def write(folder, text):
    path = folder / "my.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("name: a\nsource: {kind: demo}\n", {"name": "a", "source": {"kind": "demo"}}),
        ("a: &x [1, 2]\nb: *x\nc: *x\n", {"a": [1, 2], "b": [1, 2], "c": [1, 2]}),
        ("a: &x {k: 1}\nb: {<<: *x, k: 2}\n", {"a": {"k": 1}, "b": {"k": 2}}),
        ("a: {k: 1}\nb: {k: 1}\n", {"a": {"k": 1}, "b": {"k": 1}}),
        ("a: [{k: 1}, {k: 2}]\n", {"a": [{"k": 1}, {"k": 2}]}),
        ('{"a": {"b": [1, null]}}', {"a": {"b": [1, None]}}),
    ],
)
def test_what_yaml_says_is_read(tmp_path, text, content):
    assert read(write(tmp_path, text)) == content


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("name: a\nseed: 1\nname: b\n", "name", (3, 1)),
        ("name: a\n'name': b\n", "name", (2, 1)),
        ("{name: a, name: a}\n", "name", (1, 1)),
        ("routers:\n  knn: {}\n  mlp: {}\n  knn: {n_neighbors: 3}\n", "routers.knn", (4, 2)),
        ("source:\n  join:\n  - kind: demo\n    kind: table\n", "source.join.kind", (4, 3)),
        ("a: &x {k: 1}\nb:\n  <<: *x\n  <<: *x\n", "b.<<", (4, 3)),
        ("a: {b: {c: 1}}\nb: 2\na: [1]\n", "a", (3, 1)),
        ("a: &x b\n? *x\n: 1\na: 2\n", "a", (4, 1)),
    ],
)
def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path, text, key, lines):
    with pytest.raises(InputError) as error:
        read(write(tmp_path, text))
    second, first = lines
    said = f"my.yaml: line {second}: config key {key!r} stands in line {first} already"
    assert said in str(error.value)


def doubled(levels, before="[1]"):
    lines = [f"a0: &a0 {before}"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, f"nests deeper than {DEEPEST} levels"),
        ("{a: " * 100_000, f"nests deeper than {DEEPEST} levels"),
        ("a:\n" + "".join(" " * n + "a:\n" for n in range(1, 500)), "nests deeper"),
        ("a: " + "- " * 100, "nests deeper|not readable"),
        (doubled(40), f"line 16: holds more than {MOST_VALUES:,} values"),
        ("a: &a [*a]\n", "holds more"),
        ("a: &a {b: &b [*a, *b]}\n", "holds more"),
        (f"a: [{'1, ' * MOST_VALUES}]\n", "holds more"),
        ("a: *gone\n", "not readable as YAML .*gone"),
        ("a: 1\n--- \nb: 1\n", "not readable as YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "not readable as YAML"),
        ("a: [1\n", "not readable as YAML"),
        ("- a\n", "holds no mapping"),
        ("", "holds no mapping"),
        ("a: \0\n", "not readable as YAML"),
    ],
)
def test_what_no_config_holds_is_refused_at_once_in_one_line(tmp_path, text, said):
    with pytest.raises(InputError, match=f"my.yaml: .*{said}") as error:
        read(write(tmp_path, text))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_a_file_that_is_none_or_no_utf8_is_named(tmp_path):
    with pytest.raises(InputError, match="gone.yaml: no such file"):
        read(tmp_path / "gone.yaml")
    (tmp_path / "my.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(InputError, match="my.yaml: not readable"):
        read(tmp_path / "my.yaml")
