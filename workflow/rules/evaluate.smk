MEASURED_BY = {
    "policy": CONFIG.policy,
    "n_resamples": CONFIG.resamples,
    "seed": CONFIG.seed,
}


rule evaluate:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=f"{RESULTS}/routers/{{router}}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{router}}/{{salt}}/crossfit.parquet",
    output:
        replicates=f"{RESULTS}/evaluation/routers/{{router}}/{{salt}}/replicates.parquet",
        frontiers=f"{RESULTS}/evaluation/routers/{{router}}/{{salt}}/frontiers.parquet",
        bands=f"{RESULTS}/evaluation/routers/{{router}}/{{salt}}/bands.parquet",
        calibration=f"{RESULTS}/evaluation/routers/{{router}}/{{salt}}/calibration.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{router}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{router}}/{{salt}}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        how=MEASURED_BY,
        code=script_digest("evaluate.py"),
    message:
        "Tracing the operating curves of {wildcards.router} (salt {wildcards.salt})"
    script:
        "../scripts/evaluate.py"


rule evaluate_singles:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
    output:
        replicates=f"{RESULTS}/evaluation/singles/{{salt}}/replicates.parquet",
        models=f"{RESULTS}/evaluation/singles/{{salt}}/models.parquet",
    log:
        f"{RESULTS}/logs/evaluate_singles/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_singles/{{salt}}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        how=MEASURED_BY,
        code=script_digest("evaluate_singles.py"),
    message:
        "Evaluating the single models (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_singles.py"
