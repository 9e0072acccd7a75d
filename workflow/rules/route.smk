rule train:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        features=features_file,
    output:
        router=f"{RESULTS}/routers/{{router}}/{{salt}}/router.joblib",
        predictions=f"{RESULTS}/routers/{{router}}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{router}}/{{salt}}/crossfit.parquet",
    log:
        f"{RESULTS}/logs/train/{{router}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{router}}/{{salt}}.tsv"
    conda:
        "../../envs/train.yaml"
    # One thread, whatever there is: the order of a parallel sum would show in the last digits.
    threads: 1
    resources:
        mem_mb=3000,
    params:
        parameters=router_parameters,
        code=lambda wildcards: script_digest("train.py", find("routers", wildcards.router).module),
    message:
        "Training {wildcards.router} (salt {wildcards.salt})"
    script:
        "../scripts/train.py"
