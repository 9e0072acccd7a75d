# Every row that could be used: an upper bound knows what nobody knows.
USABLE = [
    row
    for row in ROWS
    if not find("routers", ROUTERS[row.removesuffix(SHRUNK)].name).attributes.get("upper_bound")
]


rule decision:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=predictions_of(USABLE, "predictions", SALTS[0]),
        crossfit=predictions_of(USABLE, "crossfit", SALTS[0]),
    output:
        report(
            f"{RESULTS}/decision.csv",
            caption="../report/decision.rst",
            category="Decision",
        ),
    log:
        f"{RESULTS}/logs/decision.log",
    benchmark:
        f"{RESULTS}/benchmarks/decision.tsv"
    group:
        "present"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(20),
    params:
        how=MEASURED_BY,
        rows=USABLE,
        salt=SALTS[0],
        asked=CONFIG.decision.model_dump(),
        code=script_digest("decision.py"),
    message:
        "Deciding under the config's budgets and quality targets"
    script:
        "../scripts/decision.py"
