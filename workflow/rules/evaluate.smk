MEASURED_BY = {
    "policy": CONFIG.policy,
    "n_resamples": CONFIG.resamples,
    "seed": CONFIG.seed,
}


rule evaluate:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=f"{RESULTS}/routers/{{row}}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{row}}/{{salt}}/crossfit.parquet",
    output:
        replicates=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/replicates.parquet",
        frontiers=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/frontiers.parquet",
        bands=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/bands.parquet",
        calibration=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/calibration.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{row}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{row}}/{{salt}}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=30,
    params:
        how=MEASURED_BY,
        code=script_digest("evaluate.py"),
    message:
        "Tracing the operating curves of {wildcards.row} (salt {wildcards.salt})"
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
        mem_mb=memory(2000),
        runtime=30,
    params:
        how=MEASURED_BY,
        code=script_digest("evaluate_singles.py"),
    message:
        "Evaluating the single models (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_singles.py"
