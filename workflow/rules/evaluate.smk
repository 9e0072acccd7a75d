rule evaluate:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=f"{RESULTS}/routers/{{router}}/{{salt}}/predictions.parquet",
    output:
        metrics=f"{RESULTS}/evaluation/routers/{{router}}/{{salt}}/metrics.parquet",
        frontiers=f"{RESULTS}/evaluation/routers/{{router}}/{{salt}}/frontiers.parquet",
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
        policy=CONFIG.policy,
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
        metrics=f"{RESULTS}/evaluation/singles/{{salt}}/metrics.parquet",
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
        code=script_digest("evaluate_singles.py"),
    message:
        "Evaluating the single models (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_singles.py"
