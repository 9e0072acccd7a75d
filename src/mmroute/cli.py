"""The command line: check a config, run it, and take a router away."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmroute.config import Config, load
from mmroute.config import file as config_file
from mmroute.confined import Limits, confined, go_on_confined, reading, working_on
from mmroute.errors import InputError, is_utf8, naming_extra, plain, printable, refusal
from mmroute.source_tree import SOURCE_TREE

if TYPE_CHECKING:
    import pandas as pd

    from mmroute.checks.proposed import Proposal

FAULT = 2
"""Exit code where a user has something to put right."""
QUERIES_AT_ONCE = 1000

app = typer.Typer(
    help="Which of my multimodal models should answer this query, what would routing save me, "
    "and can I trust that number?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[Path, typer.Argument(help="The config, a YAML file.", metavar="CONFIG")]
Exported = Annotated[Path, typer.Argument(help="What export has written.", metavar="FOLDER")]
Trusted = Annotated[list[str] | None, typer.Option(help="Module of a router of your own.")]
KeyVariable = Annotated[
    str, typer.Option(help="Environment variable with the key for the router's endpoint.")
]
Gigabytes = Annotated[float, typer.Option(min=0.1, max=1e6, help="Memory that it may take, in GB.")]


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """End with one line where the input is at fault, as the workflow's jobs do."""
    try:
        with naming_extra("this command"):
            yield
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        said = refusal(error)
        if said is None:
            raise
        _fail(said)


def _fail(message: str) -> None:
    typer.echo(f"error: {plain(' '.join(message.split()))}", err=True)
    raise typer.Exit(FAULT)


def _read(path: Path) -> Config:
    # Routers from outside the package lie where the command runs, which may be anybody's folder:
    # it comes last, so that nothing in it takes the place of an installed module.
    sys.path.append(str(Path.cwd()))
    if not is_utf8(str(Path.cwd())):
        raise InputError(f"{Path.cwd()}: the folder's name is not UTF-8; work in another folder")
    return load(config_file.read(path), str(path))


def _are_logs(path: Path) -> bool:
    return path.exists() and not (path.is_file() and path.suffix.lower() in (".yaml", ".yml"))


def _proposed(path: Path) -> "Proposal":
    from mmroute.checks.proposed import propose

    limits = Config.model_fields["limits"].default
    return confined(lambda: propose(path, Path("results")), Limits(**limits.model_dump()))


def _show(text: str) -> None:
    """Write UTF-8, as a config is read, whatever the terminal's encoding."""
    typer.echo(text.encode(), nl=False)


def _results(config: Config) -> Path:
    return Path("results") / config.name


@app.command()
def check(
    config: Annotated[Path, typer.Argument(help="The config, or logs.", metavar="CONFIG")],
) -> None:
    """Say what a run would use and what is wrong, before hours of work.

    Of logs, any folder or file that is no YAML, say first which kind they are, and show a config
    for them, as init writes it. Exit code 2 if something would stop a run, else 0.
    """
    with _one_line_errors():
        from mmroute.checks import check as examine

        if _are_logs(config):
            proposal = _proposed(config)
            _show(f"{plain(str(config))}: {proposal.kind}\n\n{proposal.text()}\n")
            settings = load(proposal.content, str(config))
        else:
            settings = _read(config)
        found = confined(
            lambda: examine(settings, _results(settings) / "source"),
            Limits(**settings.limits.model_dump()),
        )
    typer.echo(plain(found.text()), nl=False)
    if found.errors:
        raise typer.Exit(FAULT)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="A folder of logs, or one.", metavar="LOGS")],
) -> None:
    """Write a config for logs to standard output: mmroute init LOGS > my.yaml.

    Its comments say what was guessed and what is missing. Exit code 2 if the logs cannot be
    used as they are, or are of no known layout.
    """
    with _one_line_errors():
        proposal = _proposed(path)
    _show(proposal.text())
    if proposal.problem:
        _fail(proposal.problem)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(context: typer.Context, config: ConfigFile) -> None:
    """Run the workflow on a config, into results/<name>/.

    What follows the config goes to Snakemake, targets and options alike:
    mmroute run my.yaml table3 --cores 2 --dry-run. Without --cores, --jobs or a
    profile, all cores are used.
    """
    with _one_line_errors():
        _read(config)
        with naming_extra("mmroute run"):
            import_module("snakemake")
    given = list(context.args)
    named = {argument.split("=")[0] for argument in given}
    where = {"--cores", "-c", "--jobs", "-j", "--profile", "--workflow-profile", "--executor", "-e"}
    cores = [] if named & where or any(name[:2] in ("-c", "-j") for name in named) else ["all"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SOURCE_TREE / "Snakefile")]
    # What an earlier run left half made is made again.
    command += [*given, "--rerun-incomplete"]
    # --configfile takes several values: it must not swallow a target.
    command += [*(["--cores", *cores] if cores else []), "--configfile", str(config)]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def export(
    config: ConfigFile,
    folder: Annotated[Path, typer.Argument(help="Where to; it must not exist.", metavar="FOLDER")],
    budget: Annotated[
        str | None, typer.Option(help="As in the config's decision.budgets, such as 50%.")
    ] = None,
    accuracy: Annotated[
        str | None, typer.Option(help="As in the config's decision.quality_targets.")
    ] = None,
    router: Annotated[
        str | None, typer.Option(help="A row of the main table, or a model, instead.")
    ] = None,
    exported: Annotated[
        Path | None, typer.Option(help="A folder exported before: the same of this run, instead.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="The router's: lambda, or a normalised budget.")
    ] = None,
    labels: Annotated[
        Literal["all", "train"] | None,
        typer.Option(help="What decides and trains; if not given, as in the config."),
    ] = None,
    add_model: Annotated[
        Path | None,
        typer.Option(help="A table of labels of new models, which join uniroute untrained."),
    ] = None,
) -> None:
    """Write a trained router with all that it needs into a folder.

    Either what is advised for a budget or an accuracy, or a router with a threshold, which was
    trained on the training split. With --add-model new models join it.
    """
    with _one_line_errors():
        from mmroute.decision.export import Choice, decided
        from mmroute.decision.export import export as write
        from mmroute.decision.export import exported as exported_before

        if sum(given is not None for given in (budget, accuracy, router, exported)) != 1:
            raise InputError("give one of --budget, --accuracy, --router and --exported")
        settings = _read(config)
        results = _results(settings)
        if router is not None:
            if labels == "all":
                raise InputError(
                    "--labels all: only the row that decision.router names is trained on all "
                    "labels; name it there, or leave the option out"
                )
            if threshold is not None and not 0 <= threshold < float("inf"):
                raise InputError(f"--threshold: {threshold} is no number of at least 0; give one")
            chosen = float("nan") if threshold is None else threshold
            choice = Choice(router, chosen, "chosen by hand")
        elif threshold is not None:
            raise InputError("--threshold: a decision has its own; give it with --router only")
        elif exported is not None:
            if labels is not None:
                raise InputError("--labels: what was exported has its own; leave the option out")
            choice = exported_before(settings, results, exported)
        else:
            asked = "accuracy" if budget is None else "budget"
            choice = decided(settings, results, asked, budget or accuracy or "", labels)
        write(settings, results, choice, folder, add_model)
    typer.echo(f"{folder}: {choice.row}, {choice.reason}; its model card is README.md there")


@app.command()
def records(
    config: ConfigFile,
    output: Annotated[Path, typer.Argument(help="Where to; it must not exist.", metavar="JSONL")],
    labels: Annotated[
        Literal["train", "all"],
        typer.Option(help="Of the training split, so that the test split can measure, or of all."),
    ] = "train",
) -> None:
    """Write a run's outcomes as training records of vLLM's semantic router.

    A JSON object a line, for each query with a text and each model that answered it.
    """
    with _one_line_errors():
        from mmroute.decision.records import write_records

        settings = _read(config)
        salt = str(settings.split.salts[0])
        written = write_records(_results(settings), salt, labels, output)
    typer.echo(f"{output}: {written}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="A run's, results/<name>.", metavar="FOLDER")],
    inputs: Annotated[
        bool, typer.Option("--inputs", help="Also what it was made of: data, prices, choices.")
    ] = False,
) -> None:
    """Check every file of a run against its provenance.json.

    Names what is missing, changed or new, and says how to make it anew; exit code 2 if
    anything is, else 0.
    """
    with _one_line_errors():
        from mmroute.provenance import verify as compare
        from mmroute.provenance import verify_inputs
        from mmroute.storage import output_of

        threads = os.cpu_count() or 1
        compared = compare(folder, threads)
        read = verify_inputs(folder, threads) if inputs else {}
    typer.echo(compared.text(), nl=False)
    if lost := {folder / name for name in [*compared.missing, *compared.changed]}:
        outputs = sorted({os.path.relpath(output_of(path)) for path in lost})
        typer.echo(f"make them anew: mmroute run CONFIG --forcerun {shlex.join(outputs)}")
    for rule, held in read.items():
        typer.echo(f"inputs of {rule}:\n{held.text()}", nl=False)
    if rules := [rule for rule, held in read.items() if not held.same]:
        typer.echo(
            f"make anew what they are inputs of: mmroute run CONFIG --forcerun {' '.join(rules)}"
        )
    if rules or not compared.same:
        raise typer.Exit(FAULT)


@app.command()
def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Runs, results/<name>; the first is compared with.", metavar="FOLDER..."
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="The page; the CSV of that name lies beside it. Neither may exist.")
    ] = Path("comparison.html"),
    gigabytes: Gigabytes = 16,
    seconds: Annotated[float, typer.Option(min=0.1, max=1e9, help="Time to read each file.")] = 600,
) -> None:
    """Say what changed between runs, on one page and in one CSV.

    Of runs with queries in common: what to run in each, every row and model with paired
    differences, and what changed in config, models, prices and data. Of different benchmarks: a
    leaderboard of the routers that all have.
    """
    with _one_line_errors():
        from mmroute.presentation.tables import write_csv
        from mmroute.report.comparison_page import compare as compared
        from mmroute.storage import write_text

        if output.suffix != ".html":
            raise InputError(f"--output {output}: no page; give a name that ends in .html")
        table = output.with_suffix(".csv")
        if there := next((path for path in (output, table) if path.exists()), None):
            raise InputError(f"{there}: is there already; remove it, or give another --output")
        limits = Limits(gigabytes, seconds, ("--gigabytes", "--seconds"))
        page, rows = confined(lambda: compared(folders), limits)
        write_csv(table, rows)
        write_text(output, page)
    typer.echo(f"{output}: {len(folders)} runs side by side; all numbers are in {table}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A run's, results/<name>.", metavar="FOLDER")],
    evidence: Annotated[
        bool,
        typer.Option("--evidence", help="Write one page to print: the claim and its protocol."),
    ] = False,
    router: Annotated[
        str | None,
        typer.Option(
            help="A row of the main table to claim of, not the one that the config names."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="The page; its PDF lies beside it. Neither may exist.")
    ] = Path("evidence.html"),
    gigabytes: Gigabytes = 16,
    seconds: Annotated[float, typer.Option(min=0.1, max=1e9, help="Time to read each file.")] = 600,
) -> None:
    """Say whether routing pays in a run, and where its report is.

    With --evidence write what there is to check that by, on one page: claim, protocol, numbers
    with intervals, coverage, seeds, versions and digests; as PDF too where a Chromium is installed.
    """
    with _one_line_errors():
        from mmroute.report.evidence import evidence as page_of
        from mmroute.report.evidence import summary
        from mmroute.report.printing import BROWSERS, find_browser, print_page
        from mmroute.storage import write_text

        limits = Limits(gigabytes, seconds, ("--gigabytes", "--seconds"))
        if not evidence:
            told = confined(lambda: summary(folder), limits)
            typer.echo(plain("\n".join([*told, f"{folder / 'report.html'}: the report"])))
            return
        if output.suffix != ".html":
            raise InputError(f"--output {output}: no page; give a name that ends in .html")
        pdf = output.with_suffix(".pdf")
        if there := next((path for path in (output, pdf) if path.exists()), None):
            raise InputError(f"{there}: is there already; remove it, or give another --output")
        write_text(output, confined(lambda: page_of(folder, router), limits))
        browser = find_browser()
        if browser is None:
            typer.echo(f"{output}; no PDF, as none of {', '.join(BROWSERS)} is installed")
            return
        print_page(browser, output, pdf)
    typer.echo(f"{output}, and {pdf} to print")


@app.command()
def route(
    folder: Exported,
    text: Annotated[str | None, typer.Argument(help="The question.", metavar="[TEXT]")] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="An image file; once for each of several.")
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            help='Queries instead: a JSON object a line, {"text": ..., "image": ...}, an image\'s '
            "path or a list of several."
        ),
    ] = None,
    messages: Annotated[
        Path | None,
        typer.Option(help="A conversation instead: a JSON file of messages as OpenAI's API has."),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="The query's data set, for a router that goes by it.")
    ] = "",
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model that is available now, once for each; all if not given."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="USD per 1,000 queries, to be kept on average.")
    ] = None,
    trade_off: Annotated[
        float | None, typer.Option(help="Utility per normalised cost, lambda.")
    ] = None,
    trade_off_usd: Annotated[float | None, typer.Option(help="Utility per USD of a query.")] = None,
    trust: Trusted = None,
    allow_network: Annotated[
        bool,
        typer.Option(
            "--allow-network",
            help="Let the router send queries to its endpoint, an encoder fetch its weights, and "
            "images be fetched that messages name.",
        ),
    ] = False,
    key_variable: KeyVariable = "",
    gigabytes: Gigabytes = 16,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=1e9, help="Time to load, and for 1,000 queries.")
    ] = 600,
) -> None:
    """Say which model to ask, as JSON: one line for each query.

    With the predicted utility and cost in USD of each model, and the confidence in the
    choice.
    """
    with _one_line_errors():
        go_on_confined(Limits(gigabytes, seconds, ("--gigabytes", "--seconds")))
        from mmroute.decision.deployed import load_router

        query = text is not None or bool(image)
        if sum([query, jsonl is not None, messages is not None]) != 1:
            raise InputError("give a query, TEXT and --image, or --messages, or --jsonl with many")
        if trust:
            sys.path.append(str(Path.cwd()))
        with working_on(folder):
            router = load_router(folder, trust or [], allow_network, key_variable)
        how = {"budget": budget, "trade_off": trade_off, "trade_off_usd": trade_off_usd}
        if jsonl is None:
            with working_on(folder):
                foreseen_one = router.foresee_one(
                    text,
                    image or None,
                    dataset,
                    messages=_messages(messages) if messages else None,
                    models=model,
                    images_from_network=allow_network,
                )
                answer = router.choose(foreseen_one, router.threshold(**how))[0]
            typer.echo(_as_line(answer))
            return
        import pandas as pd

        from mmroute.predictions import Predictions

        foreseen = []
        with reading(jsonl), jsonl.open(encoding="utf-8", errors="surrogateescape") as stream:
            queries = enumerate(stream, start=1)
            while batch := list(islice(queries, QUERIES_AT_ONCE)):
                frame = pd.DataFrame(
                    [_query(line, number, jsonl, dataset) for number, line in batch],
                    index=[number for number, _ in batch],
                )
                try:
                    with working_on(folder):
                        foreseen.append(router.foresee(frame, os.cpu_count() or 1, model))
                except InputError as error:
                    raise InputError(f"{jsonl}, from line {batch[0][0]}: {error}") from None
        if not foreseen:
            return
        # A limit is kept by all queries together, so none is answered before all are seen.
        with working_on(folder):
            decisions = router.decide(
                Predictions.joined(foreseen, pd.concat([part.sample_ids for part in foreseen])),
                **how,
            )
        for index in range(len(decisions)):
            typer.echo(_as_line(decisions[index]))
        if decisions.kept is False:
            typer.echo("these queries alone may not keep the limit: too few, or too dear", err=True)


@app.command()
def shadow(
    folder: Exported,
    log: Annotated[Path, typer.Argument(help="A decision log.", metavar="LOG")],
    outcomes: Annotated[
        Path | None, typer.Option(help="A JSONL of outcomes that lie beside the log.")
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="A JSONL of queries, as of route, with id: where the log has no texts."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="USD per 1,000 queries, to be kept on average.")
    ] = None,
    trade_off: Annotated[
        float | None, typer.Option(help="Utility per normalised cost, lambda.")
    ] = None,
    estimate_propensities: Annotated[
        bool,
        typer.Option(
            "--estimate-propensities",
            help="Take the shares of calls of queries alike for what the log does not say.",
        ),
    ] = False,
    trust: Trusted = None,
    allow_network: Annotated[
        bool,
        typer.Option(
            "--allow-network",
            help="Let the router send queries to its endpoint, and an encoder fetch its weights.",
        ),
    ] = False,
    key_variable: KeyVariable = "",
    gigabytes: Gigabytes = 16,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=1e9, help="Time for each file, and for what is told.")
    ] = 3600,
) -> None:
    """Say what a router would have cost and answered on logged traffic, before it is turned on.

    By replay where the outcome of its choice is known, by inverse propensity and doubly robust
    estimates where some traffic was random, with intervals; and says where nothing can be told,
    and what would change that.
    """
    with _one_line_errors():
        go_on_confined(Limits(gigabytes, seconds, ("--gigabytes", "--seconds")))
        from mmroute.decision import shadow as telling
        from mmroute.decision.card import folder_digest
        from mmroute.decision.deployed import load_router
        from mmroute.decision.drift import in_words as drift_in_words
        from mmroute.decision.drift import read_seen
        from mmroute.decision_log import read_log

        if trust:
            sys.path.append(str(Path.cwd()))
        with working_on(folder):
            router = load_router(folder, trust or [], allow_network, key_variable)
            seen = read_seen(folder)
        found = read_log(log, outcomes)
        given, threads = _queries(queries) if queries else None, os.cpu_count() or 1
        with working_on(log):
            asked = telling.queries_of(found, given)
            digest = folder_digest(folder)
            foreseen = telling.foreseen(router, digest, found, asked, threads)
            how = {"budget": budget, "trade_off": trade_off}
            traffic = telling.Traffic.of(router, found, foreseen, asked, **how)
            if not telling.tells_repeated(found, asked):
                found.remarks.append(
                    "repeated questions count as different; intervals are too narrow if there are "
                    "any; log `group`, or give --queries"
                )
            if traffic.kept is False:
                found.remarks.append("the budget cannot be kept: queries alone are too dear")
            if estimate_propensities:
                found.remarks.append("propensities are estimated from the calls, not logged")
                traffic = traffic.estimating_propensities()
            best = router.card.measured.get("best_single_model")
            told = telling.shadow(traffic, found, str(best))
            drift = telling.drifted(router, seen, traffic, found, asked, threads)
        lines = drift_in_words(drift) if drift else ["drift is not told: export the router again"]
        _show("\n".join([telling.in_words(traffic, found, told), "", *map(plain, lines), ""]))
        for remark in found.remarks:
            typer.echo(plain(remark), err=True)


def _queries(path: Path) -> "pd.DataFrame":
    """Read queries, indexed by their id."""
    import pandas as pd

    rows: dict[str, dict[str, Any]] = {}
    with reading(path), path.open(encoding="utf-8", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, start=1):
            name = None
            with suppress(ValueError, RecursionError):
                content = json.loads(line)
                name = content.pop("id", None) if isinstance(content, dict) else None
                line = json.dumps(content)
            query = _query(line, number, path, "")
            if not isinstance(name, str) or name in rows:
                raise InputError(
                    f"{path}, line {number}: id is {name!r:.80}; give the text that the log has, "
                    "once for each query"
                )
            rows[name] = query
    return pd.DataFrame.from_dict(rows, orient="index", dtype=object)


@app.command()
def serve(
    folder: Exported,
    upstreams: Annotated[
        Path | None, typer.Option(help="A YAML file of where each model answers, to forward to.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="USD per 1,000 queries that what is forwarded keeps.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8000,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let --host be another address than this host's.")
    ] = False,
    trust: Trusted = None,
    allow_network: Annotated[
        bool,
        typer.Option("--allow-network", help="As for route."),
    ] = False,
    key_variable: KeyVariable = "",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="That a model may take for its next byte.")
    ] = 60,
    log: Annotated[
        Path | None, typer.Option(help="A decision log to write to, JSON lines; see also shadow.")
    ] = None,
    log_texts: Annotated[
        bool, typer.Option("--log-texts", help="Log the queries' texts and digests of images, too.")
    ] = False,
    random_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of the queries that goes to a model drawn among those within the budget.",
        ),
    ] = 0,
) -> None:
    """Decide, and forward to the models, over HTTP: POST /route, POST /v1/chat/completions.

    Both take a chat completion as of OpenAI's API. POST /outcome takes what came of one that was
    logged. GET /v1/models, /health, /metrics and /drift tell the rest.
    """
    with _one_line_errors():
        if host not in ("127.0.0.1", "::1", "localhost") and not allow_remote:
            raise InputError(
                f"--host {host}: anybody who reaches it could ask, and spend; give --allow-remote "
                "if that is meant"
            )
        if budget is not None and upstreams is None:
            raise InputError(
                "--budget: without upstreams no model is called, and nothing is spent; give "
                "--upstreams, or a budget with each request"
            )
        if (random_share or log_texts) and log is None:
            raise InputError(
                f"--{'random-share' if random_share else 'log-texts'}: nothing is learnt without a "
                "decision log; name one by --log"
            )
        if log and (
            log.suffix != ".jsonl"
            or not log.parent.is_dir()
            or (os.path.lexists(log) and not log.is_file())
        ):
            raise InputError(f"--log {log}: no file in a folder that is there, named .jsonl")
        import uvicorn

        from mmroute.decision.budget import Budget
        from mmroute.decision.card import folder_digest
        from mmroute.decision.deployed import load_router
        from mmroute.decision.drift import read_seen
        from mmroute.decision_log import DecisionLog
        from mmroute.serving.listening import listening
        from mmroute.serving.recording import Learning
        from mmroute.serving.server import Server, Settings
        from mmroute.serving.upstreams import Upstreams, read_upstreams

        if trust:
            sys.path.append(str(Path.cwd()))
        router = load_router(folder, trust or [], allow_network, key_variable)
        places = read_upstreams(upstreams, router.models) if upstreams else None
        server = Server(
            router,
            Upstreams(places, seconds) if places else None,
            None if budget is None else Budget(router, budget),
            Settings(network=allow_network),
            Learning(
                DecisionLog(log, log_texts) if log else None,
                folder_digest(folder),
                random_share,
                seen=read_seen(folder),
            ),
        )
        doing = f"forwards to {len(places)} models" if places else "only decides"
        typer.echo(f"{router.card.row} {doing} at http://{host}:{port}", err=True)
        unpriced = [
            own.model
            for own in router.card.models
            if None in (own.usd_per_1m_prompt_tokens, own.usd_per_1m_completion_tokens)
        ]
        if places and unpriced:
            typer.echo(
                f"note: prices of {', '.join(map(printable, unpriced))} are unknown: their calls "
                "count with what was foreseen",
                err=True,
            )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(listening(server.app(), host=host, port=port)).run()


def _messages(path: Path) -> Any:
    """The messages of a file, which may hold them alone or a request."""
    try:
        with reading(path):
            content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no JSON ({error}); correct the file") from None
    return (content.get("messages") or []) if isinstance(content, dict) else content


def _query(line: str, number: int, path: Path, dataset: str) -> dict[str, Any]:
    try:
        query = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {number}: no JSON ({error}); correct the line") from None
    known = {"text", "image", "dataset"}
    if not isinstance(query, dict) or not known & set(query) or set(query) - known:
        raise InputError(
            f"{path}, line {number}: {line.strip()[:80]!r} is no query; give an object with text, "
            "image or both, and dataset if the router goes by it"
        )
    for key, value in query.items():
        for one in value if key == "image" and isinstance(value, list) else [value]:
            if not isinstance(one, str | None):
                raise InputError(f"{path}, line {number}: {key} is {one!r:.80}; give text or null")
            if one and not is_utf8(one):
                raise InputError(
                    f"{path}, line {number}: {key} is no text in UTF-8; correct the line"
                )
    return {
        "question": query.get("text") or "",
        "image": query.get("image"),
        "dataset": query.get("dataset") or dataset,
    }


def _as_line(answer: Any) -> str:
    return json.dumps(answer._asdict(), allow_nan=False)


if __name__ == "__main__":
    app()
