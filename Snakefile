from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/route.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/experiments.smk"


if CONFIG.text_only:

    include: "workflow/rules/text_only.smk"


include: "workflow/rules/decision.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/provenance.smk"


report: "workflow/report/workflow.rst"


# What jobs and mmroute export read again. A run makes it anew if it is gone, or was moved aside
# because it was damaged, even where all that was made of it is still there.
STORED = [
    f"{RESULTS}/data",
    f"{RESULTS}/outcomes",
    f"{RESULTS}/splits.parquet",
    *expand(
        f"{RESULTS}/features/{{fusion}}/{{salt}}.{{suffix}}",
        fusion={router.fusion.key for router in CONFIG.routers.values() if router.fusion},
        salt=SALTS,
        suffix=["parquet", "safetensors"],
    ),
    *expand(
        f"{RESULTS}/routers/{{row}}/{{salt}}/router.safetensors", row=CONFIG.routers, salt=SALTS
    ),
    *(
        file
        for part in ("predictions", "crossfit")
        for salt in SALTS
        for file in predictions_of(ROWS, part, salt)
    ),
    *ROUTER_REPLICATES,
    *SINGLE_REPLICATES,
    *expand(
        f"{RESULTS}/experiments/{{name}}/{{salt}}.parquet",
        name=[EXPERIMENT_OF[table] for table in SECTIONS],
        salt=SALTS,
    ),
]


rule all:
    default_target: True
    input:
        WANTED,
        STORED,
        f"{RESULTS}/provenance.json",


# Every table and figure of the papers by its name there: snakemake --cores 2 table3
for name, files in TARGETS.items():

    rule:
        name:
            name
        input:
            files,
