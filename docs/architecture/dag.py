"""Draw the workflow's DAG of rules, from what Snakemake itself plans: dag.dot and dag.svg."""

import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EVERYTHING = ROOT / "config/benchmarks/demo_everything.yaml"
SAMPLES = 20
DEFINED = r"^ *(?:rule|checkpoint|use rule \w+ as) (\w+)"
DATA = ("results/dag/data", "results/dag/text_only/source.json")


def planned() -> set[tuple[str, str]]:
    """Edges between rules, of every router and every experiment.

    Only once the data are read does Snakemake know which data sets there are to embed, and
    then it no longer shows that they were read: so it plans twice, and both plans are joined.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = yaml.safe_load(EVERYTHING.read_text()) | {"name": "dag"}
        for source in ("source", "text_only"):
            config[source] |= {"samples": SAMPLES}
        path = Path(folder) / "dag.yaml"
        path.write_text(yaml.safe_dump(config))
        before = _rulegraph(path)
        _snakemake(path, *DATA, "--cores", "2")
        return before | _rulegraph(path)


def _rulegraph(config: Path) -> set[tuple[str, str]]:
    dot = _snakemake(config, "--rulegraph", "dot")
    rules = dict(re.findall(r'(\d+)\[label = "(\w+)"', dot))
    edges = re.findall(r"(\d+) -> (\d+)", dot)
    # What is wanted in the end is everything.
    return {(rules[a], rules[b]) for a, b in edges if "all" not in (rules[a], rules[b])}


def _snakemake(config: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += [*arguments, "--directory", str(config.parent), "--configfile", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def without_shortcuts(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out what follows from the rest, a -> c beside a -> b -> c: it hides the ways."""

    @cache
    def after(rule: str) -> frozenset[str]:
        following = {b for a, b in edges if a == rule}
        return frozenset(following.union(*map(after, following)))

    return {(a, b) for a, b in edges if not any(b in after(other) for x, other in edges if x == a)}


def drawing(edges: set[tuple[str, str]]) -> str:
    """Write the graph in the dot language; each rule stands with its file."""
    files = {
        rule: path.name
        for path in sorted(ROOT.glob("workflow/rules/*.smk"))
        for rule in re.findall(DEFINED, path.read_text(), re.MULTILINE)
    }
    box = '[shape=box, style="rounded,filled", fillcolor="#f5f7f9", color="#0b63a5"]'
    lines = [
        "digraph mmroute {",
        f'  node {box}; node [height=0.4, fontname="sans-serif", fontsize=12];',
    ]
    lines += ['  edge [color="#5b6675"]; bgcolor="white"; ranksep=0.35;']
    lines += [
        f'  {rule} [label=<{rule}<br/><font point-size="9" color="#5b6675">{files[rule]}</font>>];'
        for rule in sorted({rule for edge in edges for rule in edge})
    ]
    lines += [f"  {a} -> {b};" for a, b in sorted(without_shortcuts(edges))]
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    (HERE / "dag.dot").write_text(drawing(planned()))
    subprocess.run(["dot", "-Tsvg", "-o", HERE / "dag.svg", HERE / "dag.dot"], check=True)
