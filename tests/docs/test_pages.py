"""Neither the README nor a page of the documentation shows what does not work."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import typer
import yaml
from snakemake.cli import get_argument_parser

import mmroute
from mmroute.catalogue import catalogue
from mmroute.cli import app
from mmroute.config import Config, load
from mmroute.decision.budget import Budget
from mmroute.decision.deployed import DeployedRouter, Routed
from mmroute.serving.upstreams import read_upstreams

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests/examples"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / name for name in ("config/README.md", "results/README.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
SNIPPET = re.compile(r'^--8<-- "([\w./-]+?)(?::[\d:]+)?"$', re.MULTILINE)
MODULE_OF_A_WORKFLOW = "config/README.md"
"""Its Python is Snakemake's."""


def text_of(name):
    return (ROOT / name).read_text()


def blocks(language, pages=PAGES):
    """Collect the code of a language, each with the page that shows it."""
    return [
        pytest.param(code, id=f"{path.relative_to(ROOT)}-{number}")
        for path in pages
        for number, code in enumerate(
            re.findall(
                rf"^```{language}(?: [^\n]*)?\n(.*?)^```",
                path.read_text(),
                re.MULTILINE | re.DOTALL,
            )
        )
    ]


def commands():
    """Every line of every shell block, split as a shell would."""
    for block in blocks("sh"):
        for number, line in enumerate(block.values[0].splitlines()):
            if words := shlex.split(line, comments=True):
                yield pytest.param(words, id=f"{block.id}-{number}")


def test_the_readme_is_read_in_one_sitting():
    assert len(text_of("README.md").splitlines()) <= 150


@pytest.mark.parametrize("text", blocks("yaml"))
def test_configs_are_valid(text, monkeypatch, tmp_path):
    if SNIPPET.fullmatch(text.strip()):
        # Another program's, which its own test runs.
        return
    monkeypatch.syspath_prepend(EXAMPLES)
    content = yaml.safe_load(text)
    if set(content) == {"upstreams"}:
        (tmp_path / "upstreams.yaml").write_text(text)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        assert read_upstreams(tmp_path / "upstreams.yaml", ["gpt-5", "gemma-3"])
        return
    if "model_list" in content:  # LiteLLM's, see tests/test_litellm.py
        return
    profile = yaml.safe_load(text_of("workflow/profiles/cluster-generic/config.yaml"))
    if not set(content) <= set(profile) | {"cluster-generic-status-cmd"}:
        load({"name": "shown", "source": {"kind": "demo"}} | content, "the page")


def test_python_is_that_of_the_tested_examples():
    pages = [path for path in PAGES if path != ROOT / MODULE_OF_A_WORKFLOW]
    shown = [SNIPPET.fullmatch(block.values[0].strip()) for block in blocks("python", pages)]
    assert all(shown)
    assert {match[1] for match in shown} == {
        str(path.relative_to(ROOT)) for path in EXAMPLES.glob("my_*.py")
    }


@pytest.mark.parametrize("text", blocks("pycon"))
def test_sessions_call_what_exists(text, monkeypatch):
    router = create_autospec(DeployedRouter, instance=True)
    budget = create_autospec(Budget, instance=True, spent_usd=0.01, n_queries=1, kept=True)
    for one in (router, budget):
        one.route.return_value = Routed("gpt-5", 0.9, {"gpt-5": 0.9}, {"gpt-5": 0.01})
    loading = create_autospec(mmroute.load_router, return_value=router)
    keeping = create_autospec(Budget, return_value=budget)
    monkeypatch.setattr(mmroute, "load_router", loading, raising=False)
    monkeypatch.setattr(mmroute, "Budget", keeping, raising=False)
    names = {}
    for example in doctest.DocTestParser().get_examples(text):
        exec(compile(example.source, "the page", "single"), names)
    loading.assert_called_once()
    assert router.route.call_count + budget.route.call_count == 1


@pytest.mark.parametrize("words", list(commands()))
def test_commands_exist(words):
    words = [word for word in words if not re.fullmatch(r"[A-Z]+=\S*", word)]
    if ">" in words:
        words = words[: words.index(">")]
    match words:
        case ["make", target]:
            makefile = text_of("Makefile")
            assert f"\n{target.replace('.venv', '$(VENV)')}:" in makefile
        case [".venv/bin/mmroute", name, *arguments]:
            command = typer.main.get_command(app).commands[name]
            command.make_context(name, arguments)
        case [".venv/bin/snakemake", *arguments]:
            _, unknown = get_argument_parser().parse_known_args(arguments)
            assert unknown == []
            named = [word for word in arguments if "/" in word]
            assert [path for path in named if not (ROOT / path).exists()] == []
        case [".venv/bin/pytest", path, *_]:
            assert (ROOT / path).exists()
        case [".venv/bin/python", path, *arguments]:
            script = ROOT / path
            source = (script / "__main__.py" if script.is_dir() else script).read_text()
            options = [word for word in arguments if word.startswith("--")]
            assert all(f'add_argument("{option}"' in source for option in options)
        case other:
            pytest.fail(f"nothing says how to try {shlex.join(other)}")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_names_exists(path):
    text = path.read_text()
    linked = [
        (path.parent / target).resolve()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
        if not target.endswith("configuration.md") and "api/" not in target
    ]
    folders = "src|tests|config|workflow|docs|envs|notebooks|.ci|.github"
    named = [ROOT / name for name in re.findall(rf"`((?:{folders})/[\w/.-]+)`", text)]
    included = [ROOT / name for name in SNIPPET.findall(text)]
    assert [str(one) for one in [*linked, *named, *included] if not one.exists()] == []
    targets = re.findall(r"`make (\w[\w-]*)`", text)
    assert [name for name in targets if f"\n{name}:" not in text_of("Makefile")] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_keys_that_a_page_names_are_keys(path):
    for name, *rest in (
        key.split(".") for key in re.findall(r"`(\w+(?:\.\w+)+)`", path.read_text())
    ):
        model = getattr(Config.model_fields.get(name), "annotation", None)
        fields = getattr(model, "model_fields", None)
        assert not fields or rest[0] in {*fields, "csv", "json", "smk"}, f"{name}.{rest[0]}"


@pytest.mark.parametrize(
    ("page", "room"),
    [
        ("docs/sources.md", "sources"),
        ("docs/routers.md", "routers"),
        ("docs/routers.md", "features"),
        ("docs/routers.md", "encoders"),
        ("docs/experiments.md", "experiments"),
    ],
)
def test_a_page_names_all_that_a_config_can(page, room):
    assert [name for name in catalogue(room) if f"`{name}`" not in text_of(page)] == []


def test_every_experiment_stands_with_its_target():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", text_of("docs/experiments.md"), re.MULTILINE)
    targets = {name: re.findall(r"`(\w+)`", cell) for name, cell in rows}
    assert "table2" in targets.pop("main")
    for name, entry in catalogue("experiments").items():
        assert targets[name] == [entry.attributes.get("output", name)]


def test_the_versions_agree():
    (version,) = re.findall(r'^version = "(.+)"', text_of("pyproject.toml"), re.MULTILINE)
    assert yaml.safe_load(text_of("CITATION.cff"))["version"] == version
    (latest, *_) = re.findall(r"^## (\d.+)$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert latest.split()[0] == version


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", tmp_path],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = built.stdout + built.stderr
    assert built.returncode == 0, said[-6000:]
    assert "WARNING" not in said
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    loads = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\s>]+")
    assert {match for page in pages for match in loads.findall(page.read_text())} == set()
    assert "resamples" in (tmp_path / "configuration/index.html").read_text()
    assert "load_router" in (tmp_path / "api/decision/index.html").read_text()
