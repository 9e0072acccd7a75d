"""The house is in order: formatters, linters, environments, and nothing of any machine."""

import ast
import builtins
import io
import re
import subprocess
import symtable
import sys
import tokenize
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.parser import parse

from mmroute.catalogue import catalogue

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["lint-imports"],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        pytest.param(["snakemake", "--lint"], marks=pytest.mark.slow),
        pytest.param(["mypy"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_is_clean(command):
    result = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_tree_tells_the_dag():
    flat = list((ROOT / "src/mmroute").glob("*.py"))
    assert len(flat) <= 20


def locked_pins():
    """Return the versions that the lock has for the interpreter of the conda environments."""
    pins = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if match := re.match(r"([a-z0-9.-]+)==(\S+)(?: ; (.*?))? \\", line):
            name, version, marker = match.groups()
            if not re.search(r"python_full_version (>=|==) '3\.1[2-9]", marker or ""):
                pins[name] = version
    return pins


@pytest.mark.parametrize("path", sorted(ROOT.glob("envs/*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_have_the_pins_of_the_lock(path):
    environment = yaml.safe_load(path.read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip
    pins = locked_pins()
    for requirement in pip:
        name, version = requirement.split("==")
        assert pins[name] == version


INCLUDED = [
    ROOT / path for path in re.findall(r'include: "(.+)"', (ROOT / "Snakefile").read_text())
]
"""The rule files in the order in which Snakemake reads them."""
OF_ALL = ("common", "collect")
"""The rule files of no stage."""
OF_SNAKEMAKE = {
    *("workflow", "config", "rules", "checkpoints", "shell", "script"),
    *("ancient", "directory", "expand", "report", "temp", "unpack"),
}
"""What Snakemake gives to every rule file."""


def test_the_snakefile_includes_every_rule_file_once():
    assert sorted(INCLUDED) == sorted(ROOT.glob("workflow/rules/*.smk"))


def rooms():
    """Return the names of the package's rooms and modules."""
    return {path.stem for path in ROOT.glob("src/mmroute/[!_]*")}


def room_of(path):
    """Return the room or module after which a rule file, or what it is a part of, is named."""
    return path.stem if path.stem in rooms() else path.stem.split("_")[0]


def test_rule_files_are_named_after_rooms():
    assert {room_of(path) for path in INCLUDED if path.stem not in OF_ALL} <= rooms()


def names_of(path):
    """Return the names that a rule file defines, and the other ones that it uses."""
    source = SimpleNamespace(get_path_or_uri=lambda **_: str(path))
    cache = SimpleNamespace(open=lambda _: path.open(encoding="utf-8"))
    code, _ = parse(source, SimpleNamespace(sourcecache=cache), {})
    file = symtable.symtable(code, str(path), "exec")
    defined, used, scopes = set(), set(), [file]
    for scope in scopes:
        scopes += scope.get_children()
        for name in scope.get_symbols():
            if scope is file or name.is_global():
                if name.is_assigned() or name.is_imported():
                    defined.add(name.get_name())
                if name.is_referenced():
                    used.add(name.get_name())
    return defined, used - defined - OF_SNAKEMAKE - set(dir(builtins))


def test_rule_files_share_names_through_common_and_collect_alone():
    """Whatever else a rule file uses would come to it by the order of the includes."""
    by_file, missing = {}, {}
    for path in INCLUDED:
        defined, used = names_of(path)
        known = {
            name
            for earlier, names in by_file.items()
            if path.stem == "collect" or earlier.stem in OF_ALL or room_of(earlier) == room_of(path)
            for name in names
        }
        if used - known:
            missing[path.stem] = used - known
        by_file[path] = defined
    assert missing == {}


def rules():
    """Return the text of every rule by its name; one that inherits from another is left out."""
    text = "".join(path.read_text() for path in sorted(ROOT.glob("workflow/rules/*.smk")))
    blocks = re.split(r"^(?=(?:use )?(?:rule|checkpoint) )", text, flags=re.MULTILINE)
    named = ((re.match(r"(?:rule|checkpoint) (\w+)", block), block) for block in blocks)
    return {match[1]: block for match, block in named if match}


@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_says_what_it_needs_and_more_when_it_is_tried_again(name):
    block = rules()[name]
    assert re.search(r"^    threads: ", block, re.MULTILINE)
    assert re.search(r"^        mem_mb=growing\(\d+\),", block, re.MULTILINE)
    assert re.search(r"^        runtime=growing\(\d+\),", block, re.MULTILINE)
    wants_gpu = name in (
        "embed",
        "embed_perturbed",
        "embed_text_only",
        "train",
        "hold_out",
        "refit",
    )
    assert bool(re.search(r"^        gpu=", block, re.MULTILINE)) == wants_gpu


def test_every_profile_bundles_the_groups_that_there_are():
    named = {
        group
        for block in rules().values()
        for group in re.findall(r"group:\n        \"([^\"]+)", block)
    }
    bundled = {
        path.parent.name: {entry.split("=")[0] for entry in profile["group-components"]}
        for path in ROOT.glob("workflow/profiles/*/config.yaml")
        if "group-components" in (profile := yaml.safe_load(path.read_text()))
    }
    assert set(bundled) == {"slurm", "cluster-generic"}
    # What hangs together in these is a submission already.
    assert all(groups == named - {"text_only", "route", "present"} for groups in bundled.values())


def test_every_rule_has_an_environment_that_exists():
    rules = "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    named = re.findall(r"envs/(\w+\.yaml)", rules)
    assert set(named) == {path.name for path in ROOT.glob("envs/*.yaml")}
    assert len(named) == len(re.findall(r"^(?:rule|checkpoint) ", rules, re.MULTILINE))


CHOSEN_BY_NAME = {
    "fetch": ["sources"],
    "ingest": ["sources"],
    "embed": ["encoders"],
    "train": ["routers"],
    "experiment": ["experiments", "routers"],
    "tabulate": ["experiments"],
    "draw": ["experiments"],
}


@cache
def named_by(path, *, everywhere):
    """Return the modules that a file imports: everywhere in it, or at its top."""
    tree = ast.parse(path.read_text())
    modules = []
    for node in ast.walk(tree) if everywhere else tree.body:
        match node:
            case ast.Import(names=names):
                modules += [name.name for name in names]
            case ast.ImportFrom(module=str(module), names=names):
                modules += [module, *(f"{module}.{name.name}" for name in names)]
    return modules


def imported_by(script):
    """Return the packages that a rule's script needs, and what it reaches of ours.

    An import inside a function counts in what the config chooses: elsewhere it is of what
    these have loaded.
    """
    package = ROOT / "src/mmroute"
    rooms = CHOSEN_BY_NAME.get(script.stem, [])
    chosen = [path for room in rooms for path in (package / room).glob("*.py")]
    pending = [script, *chosen]
    reached, outside = set(), set()
    while pending:
        path = pending.pop()
        if path in reached:
            continue
        reached.add(path)
        for module in named_by(path, everywhere=path in [script, *chosen]):
            first, *rest = module.split(".")
            if first != "mmroute":
                outside.add(first)
                continue
            base = package.joinpath(*rest)
            files = (base.with_suffix(".py"), base / "__init__.py")
            pending += [file for file in files if rest and file.exists()]
    return outside - sys.stdlib_module_names


def rules_and_environments():
    for path in sorted(ROOT.glob("workflow/rules/*.smk")):
        for environment, script in re.findall(
            r"envs/(\w+)\.yaml.*?scripts/(\w+)\.py", path.read_text(), re.DOTALL
        ):
            yield pytest.param(environment, script, id=f"{script} in {environment}")


providing = cache(packages_distributions)


@pytest.mark.slow
@pytest.mark.parametrize(("environment", "script"), list(rules_and_environments()))
def test_a_rules_environment_has_what_its_script_imports(environment, script):
    pinned = set(re.findall(r"- ([\w.-]+)==", (ROOT / f"envs/{environment}.yaml").read_text()))
    providers = providing()
    missing = {
        module
        for module in imported_by(ROOT / f"workflow/scripts/{script}.py")
        if not {re.sub(r"[._]+", "-", name.lower()) for name in providers[module]} & pinned
    }
    assert missing == set()


DEFAULTS = {"DEFAULT_ROUTERS", "STUDIED_ROUTERS", "DECIDED_ON"}
OTHER_WORDS = {"fusion", "modality", "pool", "choices", "vl"}
"""Experiments' and routers' names that keys, wildcards, messages and libraries have too."""


def strings(path):
    """Yield the strings of a file's code, but for docstrings and for the defaults."""
    text = path.read_text()
    if path.suffix == ".py":
        defaults = [
            ast.get_source_segment(text, node)
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in DEFAULTS
        ]
        assert len(defaults) == len(DEFAULTS)
        for lines in defaults:
            text = text.replace(lines, "")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and not token.string.startswith('"""'):
            yield token.string


@pytest.mark.parametrize(
    "path",
    [
        *sorted(ROOT.glob("workflow/rules/*.smk")),
        ROOT / "Snakefile",
        ROOT / "src/mmroute/config/__init__.py",
    ],
    ids=lambda path: path.name,
)
def test_no_rule_and_no_line_of_the_config_names_an_experiment_or_a_router(path):
    """Each is one file that says itself what it needs."""
    names = {*catalogue("experiments"), *catalogue("routers")} - OTHER_WORDS
    words = {word for string in strings(path) for word in re.findall(r"\w+", string)}
    assert not words & names


def test_the_lock_has_hashes_and_no_addresses():
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
