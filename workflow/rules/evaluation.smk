rule shrink:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=f"{RESULTS}/routers/{{router}}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{router}}/{{salt}}/crossfit.parquet",
    output:
        predictions=f"{RESULTS}/routers/{{router}}{SHRUNK}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{router}}{SHRUNK}/{{salt}}/crossfit.parquet",
    log:
        f"{RESULTS}/logs/shrink/{{router}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/shrink/{{router}}/{{salt}}.tsv"
    group:
        "route"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        policy=CONFIG.policy,
        code=script_digest("shrink.py"),
    message:
        "Shrinking the predictions of {wildcards.router} (salt {wildcards.salt})"
    script:
        "../scripts/shrink.py"


rule evaluate:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=f"{RESULTS}/routers/{{row}}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{row}}/{{salt}}/crossfit.parquet",
        layout=layout_file,
        curves=shard_folders("curves"),
        points=points_file,
        point_sums=shard_folders("points"),
    output:
        replicates=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/replicates.parquet",
        frontiers=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/frontiers.parquet",
        bands=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/bands.parquet",
        calibration=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/calibration.parquet",
        lines=f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/lines.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{{row}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{row}}/{{salt}}.tsv"
    group:
        "measure_{salt}"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
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
        layout=layout_file,
    output:
        replicates=f"{RESULTS}/evaluation/singles/{{salt}}/replicates.parquet",
        models=f"{RESULTS}/evaluation/singles/{{salt}}/models.parquet",
    log:
        f"{RESULTS}/logs/evaluate_singles/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_singles/{{salt}}.tsv"
    group:
        "measure_{salt}"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        how=MEASURED_BY,
        code=script_digest("evaluate_singles.py"),
    message:
        "Evaluating the single models (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_singles.py"
