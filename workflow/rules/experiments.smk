# Some experiments train routers anew; the others look closer at what is trained.
ANEW = ["modality", "fusion", "shift", "pool", "label_efficiency"]
EXAMINED = [row for row in dict.fromkeys([*CONFIG.studied, "ensemble"]) if row in ROUTERS]
VL_ROUTERS = [
    *["prknn", "knn_vl", "kmeans_vl", "linear_vl", "mlp_vl", "ovr"],
    *["cosinecls", "routerdc", "zooter", "vlc"],
]
CLOSER = {
    "difficulty": EXAMINED,
    "uncertainty": EXAMINED,
    "vl": ["random", "cheapest", "strongest", "strongest_per_dataset", *VL_ROUTERS, "oracle"],
}
EXPERIMENT_OF = {
    experiment.output: name for name, experiment in EXPERIMENTS.items() if name != "cases"
}
DRAWN = [table for table, name in EXPERIMENT_OF.items() if EXPERIMENTS[name].figure]


rule experiment_anew:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        features=lambda wildcards: sorted(set(features_of_experiment(wildcards).values())),
    output:
        f"{RESULTS}/experiments/{{experiment}}/{{salt}}.parquet",
    log:
        f"{RESULTS}/logs/experiments/{{experiment}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/experiments/{{experiment}}/{{salt}}.tsv"
    wildcard_constraints:
        experiment="|".join(ANEW),
    group:
        "experiment_{salt}"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        how=MEASURED_BY,
        features=features_of_experiment,
        routers=prototypes(CONFIG.studied),
        options=options_of_experiment,
        code=lambda wildcards: script_digest(
            "experiment_anew.py",
            f"mmroute.experiments.{wildcards.experiment}",
            *router_files(CONFIG.studied),
        ),
    message:
        "Training routers anew: {wildcards.experiment} (salt {wildcards.salt})"
    script:
        "../scripts/experiment_anew.py"


rule experiment_closer:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=lambda wildcards: predictions_of(
            CLOSER[wildcards.experiment], "predictions", wildcards.salt
        ),
        crossfit=lambda wildcards: predictions_of(
            CLOSER[wildcards.experiment], "crossfit", wildcards.salt
        ),
    output:
        f"{RESULTS}/experiments/{{experiment}}/{{salt}}.parquet",
    log:
        f"{RESULTS}/logs/experiments/{{experiment}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/experiments/{{experiment}}/{{salt}}.tsv"
    wildcard_constraints:
        experiment="|".join(CLOSER),
    group:
        "experiment_{salt}"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        how=MEASURED_BY,
        rows=lambda wildcards: CLOSER[wildcards.experiment],
        options=options_of_experiment,
        code=lambda wildcards: script_digest(
            "experiment_closer.py", f"mmroute.experiments.{wildcards.experiment}"
        ),
    message:
        "Examining the trained routers: {wildcards.experiment} (salt {wildcards.salt})"
    script:
        "../scripts/experiment_closer.py"


rule cases:
    input:
        table=f"{RESULTS}/tables/table2.csv",
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=predictions_of(EXAMINED, "predictions", SALTS[0]),
        crossfit=predictions_of(EXAMINED, "crossfit", SALTS[0]),
    output:
        cases=f"{RESULTS}/experiments/figS2.parquet",
        csv=f"{RESULTS}/tables/figS2.csv",
    log:
        f"{RESULTS}/logs/cases.log",
    benchmark:
        f"{RESULTS}/benchmarks/cases.tsv"
    group:
        "present"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        how=MEASURED_BY,
        rows=EXAMINED,
        salt=SALTS[0],
        code=script_digest("cases.py"),
    message:
        "Picking cases"
    script:
        "../scripts/cases.py"


rule draw_cases:
    input:
        cases=rules.cases.output.cases,
        source=f"{RESULTS}/source.json",
    output:
        svg=report(
            f"{RESULTS}/figures/figS2.svg",
            caption="../report/experiment.rst",
            category="Experiments",
        ),
        png=f"{RESULTS}/figures/figS2.png",
    log:
        f"{RESULTS}/logs/draw_cases.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_cases.tsv"
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        title=TITLE,
        code=script_digest("draw_cases.py"),
    message:
        "Drawing figS2"
    script:
        "../scripts/draw_cases.py"


rule tabulate:
    input:
        findings=lambda wildcards: expand(
            f"{RESULTS}/experiments/{EXPERIMENT_OF[wildcards.table]}/{{salt}}.parquet", salt=SALTS
        ),
        outcomes=f"{RESULTS}/outcomes",
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
        table="|".join(EXPERIMENT_OF),
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        experiment=lambda wildcards: EXPERIMENT_OF[wildcards.table],
        title=TITLE,
        published=PUBLISHED,
        code=lambda wildcards: script_digest(
            "tabulate.py", f"mmroute.experiments.{EXPERIMENT_OF[wildcards.table]}"
        ),
    message:
        "Writing {wildcards.table}"
    script:
        "../scripts/tabulate.py"


rule draw:
    input:
        table=f"{RESULTS}/tables/{{table}}.csv",
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
        table="|".join(DRAWN),
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        experiment=lambda wildcards: EXPERIMENT_OF[wildcards.table],
        title=TITLE,
        code=lambda wildcards: script_digest(
            "draw.py", f"mmroute.figures.{EXPERIMENT_OF[wildcards.table]}"
        ),
    message:
        "Drawing {wildcards.table}"
    script:
        "../scripts/draw.py"
