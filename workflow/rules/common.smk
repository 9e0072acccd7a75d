"""The validated config, and everything that the rules derive from it."""

import fcntl
import gc
import os
import re
import sys
from functools import cache
from pathlib import Path
from shlex import quote


def quoted(path):
    """Quote a path for a shell command, which Snakemake formats first."""
    return quote(str(path)).replace("{", "{{").replace("}", "}}")


# Beside this file, not beside the main Snakefile: another workflow may use this one as a module.
# What is installed from a wheel has no such folder, and is found without.
sys.path.insert(0, str(Path(str(workflow.current_basedir)).parents[1] / "src"))
# Modules of the user's own lie where snakemake runs; nothing there is to take the place of others.
sys.path.append(os.getcwd())

from snakemake.io import regex_from_filepattern

from mmroute.config import file as config_file
from mmroute.catalogue import build, find
from mmroute.config import (
    TRUNK,
    known_experiments,
    known_routers,
    load,
    output_of,
    published_fusion,
)
from mmroute.confined import Limits, confined, working_on
from mmroute.decision.files import NEXT, evidence_files, trained_folder
from mmroute.digest import code_digest
from mmroute.errors import DamagedFile, InputError, is_utf8, plain, refusal
from mmroute.experiments import Experiment
from mmroute.features.perturbation import KINDS
from mmroute.job import set_aside
from mmroute.known_files import KnownFiles
from mmroute.settling import pair, settle
from mmroute.source_tree import PACKAGE, SOURCE_TREE, import_folder
from mmroute.storage import SHRUNK, digest_bytes, digest_file, read_json

# What is in memory by now stays: while code is read, it is not looked through again and again.
gc.freeze()

# With them Snakemake tells something of results, and makes none.
TELLING_OPTIONS = re.compile(
    r"-[A-Za-z]*[nDSl][A-Za-z]*|--(dry-?run|unlock|lint|summary|detailed-summary|archive|report"
    r"|dag|rulegraph|filegraph|d3dag|list-?.*|print-compilation|containerize|export-cwl"
    r"|generate-unit-tests|cleanup-.*|delete-.*|conda-create-envs-only)"
)

# A user's config replaces the default one: merged, it would keep the default's
# source and routers.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


def lasting(path):
    """A path as text that stays the same when a checkout moves in which Snakemake is started."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def stop(error):
    """End before any job with one line."""
    print(f"error: {plain(str(error))}", file=sys.stderr)
    sys.exit(1)


def inspect(known):
    """Digest the files of each source, some of which are looked into, prices and choices."""

    def fingerprint(part):
        with working_on(Path(part.label)):
            return build("sources", part.name, part.parameters).fingerprint(known)

    fingerprints = {
        key: [fingerprint(part) for part in sources.parts] for key, sources in SOURCES.items()
    }
    price_digests = {
        key: sources.price_file and digest_file(sources.price_file)
        for key, sources in SOURCES.items()
    }
    choice_digests = {row: digest_file(Path(path)) for row, path in CONFIG.elsewhere.items()}
    return fingerprints, price_digests, choice_digests, known


if set("{}:") & set(str(SOURCE_TREE)):
    stop(
        f"{SOURCE_TREE}: Snakemake takes braces for wildcards, and Python a colon for the end of a "
        "path; move the checkout, or the environment, to a folder without them"
    )
if not is_utf8(os.getcwd()):
    stop(f"{os.getcwd()}: the folder's name is not UTF-8; work in another folder")
try:
    # As Snakemake looks for its locks.
    re.compile(regex_from_filepattern(f"{os.getcwd()}/{{n,[0-9]+}}.lock"))
except (re.error, ValueError):
    stop(f"{os.getcwd()}: Snakemake takes this for wildcards; start it in a folder without braces")
try:
    files = workflow.overwrite_configfiles or workflow.configfiles
    if workflow.is_main_process:
        # Snakemake has read them, and kept the last of what stands there twice.
        for file in files:
            config_file.read(Path(file))
    CONFIG = load(config, ", ".join(map(str, files)))
    # Scripts find this very package, in whatever environment they run, and modules of the user's
    # own if the config names any.
    path = [
        quoted(import_folder(Path(".snakemake", "package"))),
        *(["."] if CONFIG.modules else []),
    ]
    shell.prefix(f"export PYTHONPATH={':'.join(path)}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; ")
    SOURCES = {
        key: sources
        for key, sources in (("source", CONFIG.source), ("text_only", CONFIG.text_only))
        if sources
    }
    for key, sources in SOURCES.items():
        if sources.price_file and not sources.price_file.is_file():
            raise InputError(f"config key {key}.prices: no file {sources.prices!r}; give a CSV")
    for row, path in CONFIG.elsewhere.items():
        if not Path(path).is_file():
            raise InputError(f"config key routers.{row}.choices: no file {path!r}; give a table")
    RESULTS = f"results/{CONFIG.name}"
    # Scripts find the limits with their defaults there, and what reading checks beforehand; in
    # params, another limit would make all anew.
    config["limits"] = CONFIG.limits.model_dump()
    config["trained"] = {
        "train": CONFIG.split.train,
        "salts": CONFIG.split.salts,
        "prices": CONFIG.source.prices,
        "pool": CONFIG.pool,
        "min_coverage": CONFIG.min_coverage,
        "max_latency": CONFIG.decision.max_latency,
    }
    FINGERPRINTS, PRICE_DIGESTS, CHOICE_DIGESTS, KNOWN = confined(
        lambda: inspect(KnownFiles(Path(RESULTS, ".inputs.json"))), Limits(**config["limits"])
    )
    ENCODERS = {
        modality: build("encoders", named.name, named.parameters)
        for modality, named in (("text", CONFIG.encoders.text), ("image", CONFIG.encoders.image))
    }
    ENCODER_FINGERPRINTS = {
        modality: encoder.fingerprint() for modality, encoder in ENCODERS.items()
    }
except (InputError, OSError) as error:
    stop((refusal(error) if isinstance(error, OSError) else None) or error)

SIMULATED = any(
    find("sources", part.name).attributes.get("simulated", False) for part in CONFIG.source.parts
)
# On simulated data the papers' values would stand beside what was made up to be like them.
PUBLISHED = "" if SIMULATED else lasting(SOURCE_TREE / "config/published")
PRICES = [str(sources.price_file) for sources in SOURCES.values() if sources.price_file]
# What downloads have written down, if there are any.
MANIFESTS = [
    f"{RESULTS}/{folder}source/{f'{index}/fetched/' if len(sources.parts) > 1 else ''}manifest.json"
    for folder, sources in (("", CONFIG.source), ("text_only/", CONFIG.text_only))
    for index, part in enumerate(sources.parts if sources else ())
    if part.parameters.get("repo")
]
TITLE = f"{CONFIG.name} (simulated data)" if SIMULATED else CONFIG.name
SALTS = [str(salt) for salt in CONFIG.split.salts]
MEASURED_BY = {"policy": CONFIG.policy, "n_resamples": CONFIG.resamples, "seed": CONFIG.seed}
# Every router can be trained; the config's rows are those that the main table has.
ROUTERS = known_routers(CONFIG.routers)
ROWS = [
    f"{row}{suffix}"
    for row, router in CONFIG.routers.items()
    for suffix in (["", SHRUNK] if CONFIG.shrink and router.predicts else [""])
]
EXPERIMENTS = known_experiments(CONFIG.experiments)


def says(experiment, attribute):
    """A class attribute of an experiment."""
    return find("experiments", EXPERIMENTS[experiment].name).attributes[attribute]


if not CONFIG.text_only:
    EXPERIMENTS = {name: one for name, one in EXPERIMENTS.items() if not says(name, "text_only")}
ASKED = [name for name in CONFIG.experiments if name != TRUNK]
# What an experiment takes of the second source.
TEXT_ONLY = {
    "text_only": f"{RESULTS}/text_only/outcomes",
    "text_only_text": f"{RESULTS}/text_only/embeddings/{ENCODERS['text'].key}.parquet",
    "text_only_side": f"{RESULTS}/text_only/embeddings/side.parquet",
}
# What the experiments compare, as published; a router's own fusion may have other parameters.
COMPARED = [published_fusion(name) for one in EXPERIMENTS for name in says(one, "fusions")]
FUSIONS = {
    fusion.key: fusion
    for fusion in [*COMPARED, *(router.fusion for router in ROUTERS.values())]
    if fusion
}


wildcard_constraints:
    modality="text|image",
    encoder=r"[^/]+",
    dataset=r"[^/]+",
    shard=r"\d+",
    fusion="|".join(map(re.escape, FUSIONS)),
    router="|".join(map(re.escape, ROUTERS)),
    row=f"({'|'.join(map(re.escape, ROUTERS))})({re.escape(SHRUNK)})?",
    salt=r"[A-Za-z0-9_-]+",
    fold=r"\d",


@cache
def lock_results():
    """Lock the results until this process ends, however it ends; once.

    Snakemake's own lock lies in the working directory and does not see a run from another one.
    """
    folder = Path(RESULTS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        stop(f"{folder}: {error.strerror}; make it writable, with room left on the disk")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stop(f"{folder}: another run is writing here; wait until it has ended")
    except OSError:
        # A file system without locks.
        pass
    return lock


def makes_results():
    """Tell whether this start of Snakemake makes any; that is known here by its command line."""
    return not any(TELLING_OPTIONS.fullmatch(word.split("=")[0]) for word in sys.argv[1:])


onstart:
    # Where it limits jobs per second, Snakemake's scheduler wakes once more each second for every
    # job that has ended. On this machine nobody needs the limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
    lock_results()
    try:
        pair(Path(RESULTS), Path(".snakemake"))
    except OSError as error:
        stop(
            f"{error.filename}: {error.strerror}; make it writable, with room left on the disk"
        )


def growing(least):
    """A job's memory in MB or run time in minutes, and as much again with every retry.

    Memory is about twice the peak of such a job on a simulated archive of VL-RouterBench's size,
    30,540 questions by 17 models, run time several times what it took; of OpenCLIP, finetuning
    and the experiments both are guesses.
    """
    return lambda wildcards, attempt: attempt * least


def script_file(script):
    return SOURCE_TREE / "workflow/scripts" / script


def script_digest(script, *chosen):
    """Digest a script, the code it reaches, and what the config chose by name."""
    return code_digest(script_file(script), *chosen)


def source_files(sources):
    """The code of some sources: files and classes, with their bases."""
    return [code for part in sources.parts for code in find("sources", part.name).lineage]


def source_arguments(sources):
    """Class and constructor arguments of some sources, by their labels."""
    return {label: (part.name, dict(part.parameters)) for label, part in sources.labelled.items()}


def ingested():
    """What ``ingest`` wrote down of the data sets, by folder, once it has run."""
    folder = checkpoints.ingest.get().output[0]
    try:
        index = read_json(Path(folder, "index.json"))
    except DamagedFile as error:
        # Not in a job, but while the jobs are chosen.
        stop(set_aside(error, [folder]))
    return {dataset["folder"]: dataset for dataset in index["datasets"]}


def index_file(wildcards):
    return f"{checkpoints.ingest.get().output[0]}/index.json"


def samples_file(wildcards):
    return f"{checkpoints.ingest.get().output[0]}/{wildcards.dataset}/samples.parquet"


def shard_content(wildcards):
    """Digest the modalities of one shard, so that only a change to them embeds them again."""
    return ingested()[wildcards.dataset]["shards"][int(wildcards.shard)]


def shard_rows(wildcards):
    """Where a shard begins and ends among the samples of its data set."""
    begin = int(wildcards.shard) * CONFIG.shard_size.embed
    samples = ingested()[wildcards.dataset]["samples"]
    return begin, min(begin + CONFIG.shard_size.embed, samples)


def sharded(folder, place="embeddings", suffix="parquet"):
    """The files of all shards, data set after data set."""
    return [
        f"{RESULTS}/{place}/{folder}/{dataset}.{shard}.{suffix}"
        for dataset, held in ingested().items()
        for shard in range(len(held["shards"]))
    ]


def content_digests(wildcards):
    """Digest all that the data sets hold."""
    return [dataset["all"] for dataset in ingested().values()]


def split_digests(wildcards):
    """Digest what places the samples of every data set in a split: ids, groups, scenarios."""
    return [[name, dataset["split"]] for name, dataset in ingested().items()]


def embedding_files(wildcards):
    return {
        modality: sharded(f"{modality}/{encoder.key}") for modality, encoder in ENCODERS.items()
    }


def encoding_times(wildcards):
    """What the jobs wrote down that embedded each shard, by modality."""
    return {
        modality: sharded(f"{modality}/{encoder.key}", "benchmarks/encode", "json")
        for modality, encoder in ENCODERS.items()
    }


def side_files(wildcards):
    """The side features' files, for a fusion that has them."""
    return sharded("side") if has_side(FUSIONS[wildcards.fusion]) else []


def has_side(fusion):
    """Whether the side features stand beside what is fused."""
    return find("features", fusion.name).attributes.get("with_side", False)


def features_file(fusion, salt):
    return f"{RESULTS}/features/{fusion}/{salt}.parquet"


def perturbed_files(wildcards):
    """The embeddings of the perturbed questions, by the kind of perturbation."""
    return {kind: sharded(f"perturbed/{kind}/{ENCODERS['text'].key}") for kind in KINDS}


def router_inputs(wildcards):
    """What a router reads besides the outcomes: features, questions and images, or nothing."""
    router = ROUTERS[wildcards.router]
    if router.reads_samples:
        return {"source": f"{RESULTS}/source.json"}
    return {"features": features_file(router.fusion.key, wildcards.salt)} if router.fusion else {}


def perturbed_inputs(wildcards):
    """What a router's features of perturbed questions are made of."""
    fusion = ROUTERS[wildcards.router].fusion
    fitted = Path(features_file(fusion.key, wildcards.salt)).with_suffix(".safetensors")
    return perturbed_files(wildcards) | {
        "fitted": str(fitted),
        "image": embedding_files(wildcards)["image"],
        "side": sharded("side") if has_side(fusion) else [],
    }


def router_parameters(row):
    """A router's constructor arguments, with the seed if it draws."""
    router = ROUTERS[row]
    draws = "random_state" in find("routers", router.name).parameters
    return dict(router.parameters) | ({"random_state": CONFIG.seed} if draws else {})


def own_fingerprint(row):
    """Return what tells a router's own file from another: the checkpoint of an encoder, choices."""
    encoder = ROUTERS[row].encoder
    if encoder:
        return build("encoders", encoder.name, encoder.parameters).fingerprint()
    return CHOICE_DIGESTS.get(row)


def as_built(named):
    """Return a class that the config names as ``build`` takes it."""
    return named and (named.name, dict(named.parameters))


def prototypes(rows):
    """Class and constructor arguments of some routers."""
    return {row: (ROUTERS[row].name, router_parameters(row)) for row in rows}


def router_files(rows):
    """The code of some routers, as above."""
    return [code for row in rows for code in find("routers", ROUTERS[row].name).lineage]


def encoder_files(modality):
    """The code of an encoder, as above."""
    return find("encoders", getattr(CONFIG.encoders, modality).name).lineage


def experiment_files(experiment):
    """The code of an experiment, as above."""
    return find("experiments", EXPERIMENTS[experiment].name).lineage


def fusion_files(fusion):
    """The code of a fusion, as above."""
    return find("features", fusion.name).lineage


def routers_of(experiment):
    """Return the rows that an experiment takes."""
    studied = CONFIG.studied if says(experiment, "studied") else []
    return list(dict.fromkeys([*studied, *says(experiment, "routers")]))


def trained_by(experiment):
    """Return the rows that an experiment trains anew."""
    return routers_of(experiment) if says(experiment, "trains") else []


def fusions_of(experiment):
    """Return what an experiment trains on: fusions by name, or each router's own."""
    return {name: published_fusion(name) for name in says(experiment, "fusions")} or {
        row: ROUTERS[row].fusion for row in trained_by(experiment)
    }


def features_of_experiment(wildcards):
    """Return the features' files of an experiment that trains; None for a router without any."""
    return {
        name: fusion and features_file(fusion.key, wildcards.salt)
        for name, fusion in fusions_of(wildcards.experiment).items()
    }


def inputs_of_experiment(wildcards):
    """Return what an experiment reads beside the outcomes, by what its class says."""
    one, salt = wildcards.experiment, wildcards.salt
    given = {}
    if says(one, "text_only"):
        given = embedding_files(wildcards) | {"side": sharded("side")} | TEXT_ONLY
    if says(one, "trains"):
        return given | {"features": sorted({*features_of_experiment(wildcards).values()} - {None})}
    parts = {"predictions": "predictions", "crossfit": "crossfit"}
    if says(one, "perturbed"):
        parts |= {kind: f"perturbed/{kind}" for kind in KINDS}
    return given | {
        name: predictions_of(routers_of(one), part, salt) for name, part in parts.items()
    }


def protocol_of(experiment):
    """How an experiment's results come about, as said beside published values."""
    development = CONFIG.split.development
    taught = f"{CONFIG.split.train - development:.0%} for training"
    return "; ".join(
        [
            says(experiment, "protocol").format(policy=CONFIG.policy),
            taught + (f", {development:.0%} for development" if development else ""),
            " and ".join(dict.fromkeys(encoder.key for encoder in ENCODERS.values())),
        ]
    )


def settings_of(experiment):
    """How each row's router differs from its class, and what it reads, beside published values."""
    told = {}
    for row in routers_of(experiment):
        router = ROUTERS[row]
        defaults = find("routers", router.name).parameters
        named = {} if router.name == row else {"class": router.name}
        changed = {
            name: value for name, value in router.parameters.items() if value != defaults[name][1]
        }
        read = router.fusion and not says(experiment, "fusions")
        settings = named | changed | ({"fusion": router.fusion.key} if read else {})
        told[row] = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return told


def experiment_code(script, experiment, calls, *more):
    """Digest a script, and an experiment's class without the methods that others call."""
    methods = {*vars(Experiment), *Experiment.__annotations__}
    return code_digest(
        script_file(script),
        *more,
        partly=experiment_files(experiment),
        without=methods.difference(calls),
    )


def image_source(experiment):
    """Return the file that says where the images lie, for an experiment that shows them."""
    return f"{RESULTS}/source.json" if says(experiment, "images") else []


def evaluation_shards():
    """The shards that evaluation is split into; none where one job takes all samples."""
    samples = sum(dataset["samples"] for dataset in ingested().values())
    size = CONFIG.shard_size.evaluate
    return range(-(-samples // size)) if samples > size else range(0)


def layout_file(wildcards):
    """Where the shards of evaluation lie, if there are any."""
    layout = f"{RESULTS}/evaluation/shards/{wildcards.salt}.json"
    return layout if evaluation_shards() else []


def points_file(wildcards):
    """Where the operating points lie that the shards measure, if there are any."""
    points = f"{RESULTS}/evaluation/shards/{wildcards.row}/{wildcards.salt}/points.parquet"
    return points if evaluation_shards() else []


def shard_folders(part):
    """A function for what each shard of a router's evaluation adds up to."""
    return lambda wildcards: [
        f"{RESULTS}/evaluation/shards/{wildcards.row}/{wildcards.salt}/{part}/{shard}"
        for shard in evaluation_shards()
    ]


def predictions_of(rows, part, salt):
    return [f"{RESULTS}/routers/{row}/{salt}/{part}.parquet" for row in rows]


def table_files(name):
    return expand(f"{RESULTS}/tables/{name}.{{suffix}}", suffix=["csv", "md", "tex"])


def figure_files(name):
    return expand(f"{RESULTS}/figures/{name}.{{suffix}}", suffix=["svg", "png"])


try:
    # What all results depend on; Snakemake compares each job's own share of it.
    MADE_FROM = digest_bytes(
        repr(
            [
                CONFIG.model_dump(mode="json"),
                FINGERPRINTS,
                PRICE_DIGESTS,
                ENCODER_FINGERPRINTS,
                [own_fingerprint(row) for row in ROUTERS],
                script_digest(
                    "ingest.py",
                    *sorted((SOURCE_TREE / "workflow/scripts").glob("*.py")),
                    *(code for sources in SOURCES.values() for code in source_files(sources)),
                    *(code for modality in ENCODERS for code in encoder_files(modality)),
                    *(code for fusion in FUSIONS.values() for code in fusion_files(fusion)),
                    *router_files(ROUTERS if ASKED else CONFIG.routers),
                    *(code for name in ASKED for code in experiment_files(name)),
                ),
            ]
        ).encode()
    )
    if workflow.is_main_process:
        for line in settle(
            Path(RESULTS),
            Path(".snakemake"),
            MADE_FROM,
            map(Path, MANIFESTS),
            KNOWN,
            lock_results if makes_results() else None,
        ):
            print(line, file=sys.stderr)
        KNOWN.keep()
except (InputError, OSError) as error:
    stop(error)
