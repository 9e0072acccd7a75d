DECIDED_ON = f"{RESULTS}/routers/{CONFIG.decision.router}/{SALTS[0]}"


rule decision:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=f"{DECIDED_ON}/predictions.parquet",
        crossfit=f"{DECIDED_ON}/crossfit.parquet",
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
        row=CONFIG.decision.router,
        salt=SALTS[0],
        asked=CONFIG.decision.model_dump(exclude={"router"}),
        code=script_digest("decision.py"),
    message:
        "Deciding under the config's budgets and quality targets"
    script:
        "../scripts/decision.py"
