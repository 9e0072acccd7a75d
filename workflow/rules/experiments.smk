# Every experiment by the name of its table and figure, whether the config asks for it or not.
EXPERIMENT_OF = {output_of(name, one): name for name, one in EXPERIMENTS.items()}
DRAWN = [output for output, name in EXPERIMENT_OF.items() if says(name, "figure")]


rule experiment:
    input:
        unpack(inputs_of_experiment),
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
    output:
        f"{RESULTS}/experiments/{{experiment}}/{{salt}}.parquet",
    log:
        f"{RESULTS}/logs/experiments/{{experiment}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/experiments/{{experiment}}/{{salt}}.tsv"
    wildcard_constraints:
        experiment="|".join(map(re.escape, EXPERIMENTS)),
    group:
        "experiment_{salt}"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        experiment=lambda wildcards: as_built(EXPERIMENTS[wildcards.experiment]),
        how=MEASURED_BY,
        routers=lambda wildcards: prototypes(routers_of(wildcards.experiment)),
        features=features_of_experiment,
        fusions=lambda wildcards: {
            name: as_built(fusion) for name, fusion in fusions_of(wildcards.experiment).items()
        },
        code=lambda wildcards: experiment_code(
            "experiment.py",
            wildcards.experiment,
            ["findings"],
            *router_files(trained_by(wildcards.experiment)),
            *(
                code
                for fusion in fusions_of(wildcards.experiment).values()
                if fusion
                for code in fusion_files(fusion)
            ),
        ),
    message:
        "Running the experiment {wildcards.experiment} (salt {wildcards.salt})"
    script:
        "../scripts/experiment.py"


rule tabulate:
    input:
        findings=lambda wildcards: expand(
            f"{RESULTS}/experiments/{EXPERIMENT_OF[wildcards.table]}/{{salt}}.parquet", salt=SALTS
        ),
        outcomes=f"{RESULTS}/outcomes",
        main=lambda wildcards: (
            [f"{RESULTS}/tables/table2.csv"]
            if says(EXPERIMENT_OF[wildcards.table], "reads_table")
            else []
        ),
        source=lambda wildcards: image_source(EXPERIMENT_OF[wildcards.table]),
    output:
        csv=report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../report/experiment.rst",
            category="Experiments",
        ),
        markdown=f"{RESULTS}/tables/{{table}}.md",
        latex=f"{RESULTS}/tables/{{table}}.tex",
        section=f"{RESULTS}/experiments/{{table}}.json",
    log:
        f"{RESULTS}/logs/tabulate/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate/{{table}}.tsv"
    wildcard_constraints:
        table="|".join(map(re.escape, EXPERIMENT_OF)),
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        experiment=lambda wildcards: as_built(EXPERIMENTS[EXPERIMENT_OF[wildcards.table]]),
        run=TITLE,
        title=lambda wildcards: says(EXPERIMENT_OF[wildcards.table], "title"),
        question=lambda wildcards: says(EXPERIMENT_OF[wildcards.table], "question"),
        published=PUBLISHED,
        protocol=lambda wildcards: PUBLISHED and protocol_of(EXPERIMENT_OF[wildcards.table]),
        settings=lambda wildcards: PUBLISHED and settings_of(EXPERIMENT_OF[wildcards.table]),
        code=lambda wildcards: experiment_code(
            "tabulate.py", EXPERIMENT_OF[wildcards.table], ["summarise", "present", "cards"]
        ),
    message:
        "Writing {wildcards.table}"
    script:
        "../scripts/tabulate.py"


rule draw:
    input:
        table=f"{RESULTS}/tables/{{table}}.csv",
        source=lambda wildcards: image_source(EXPERIMENT_OF[wildcards.table]),
    output:
        svg=report(
            f"{RESULTS}/figures/{{table}}.svg",
            caption="../report/experiment.rst",
            category="Experiments",
        ),
        png=f"{RESULTS}/figures/{{table}}.png",
    log:
        f"{RESULTS}/logs/draw/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw/{{table}}.tsv"
    wildcard_constraints:
        table="|".join(map(re.escape, DRAWN)),
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        experiment=lambda wildcards: as_built(EXPERIMENTS[EXPERIMENT_OF[wildcards.table]]),
        title=lambda wildcards: f"{TITLE}: {says(EXPERIMENT_OF[wildcards.table], 'title')}",
        code=lambda wildcards: experiment_code("draw.py", EXPERIMENT_OF[wildcards.table], ["draw"]),
    message:
        "Drawing {wildcards.table}"
    script:
        "../scripts/draw.py"
