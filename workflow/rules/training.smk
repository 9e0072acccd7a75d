rule train:
    input:
        unpack(router_inputs),
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
    output:
        router=f"{RESULTS}/routers/{{router}}/{{salt}}/router.safetensors",
        predictions=f"{RESULTS}/routers/{{router}}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{router}}/{{salt}}/crossfit.parquet",
        timing=f"{RESULTS}/benchmarks/predict/{{router}}/{{salt}}.json",
    log:
        f"{RESULTS}/logs/train/{{router}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{router}}/{{salt}}.tsv"
    group:
        "route"
    conda:
        "../../envs/train.yaml"
    # One thread, whatever there is: the order of a parallel sum would show in the last digits.
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=lambda wildcards: int(ROUTERS[wildcards.router].gpu),
    params:
        router=lambda wildcards: ROUTERS[wildcards.router].name,
        parameters=lambda wildcards: router_parameters(wildcards.router),
        checkpoint=lambda wildcards: towers_fingerprint(wildcards.router),
        code=lambda wildcards: script_digest("train.py", *router_files([wildcards.router])),
    message:
        "Training {wildcards.router} (salt {wildcards.salt})"
    script:
        "../scripts/train.py"
