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
        checkpoint=lambda wildcards: own_fingerprint(wildcards.router),
        code=lambda wildcards: script_digest("train.py", *router_files([wildcards.router])),
    message:
        "Training {wildcards.router} (salt {wildcards.salt})"
    script:
        "../scripts/train.py"


rule predict_perturbed:
    input:
        unpack(perturbed_inputs),
        router=f"{RESULTS}/routers/{{router}}/{{salt}}/router.safetensors",
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
    output:
        expand(
            f"{RESULTS}/routers/{{router}}/{{salt}}/perturbed/{{kind}}.parquet",
            kind=KINDS,
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/predict_perturbed/{{router}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict_perturbed/{{router}}/{{salt}}.tsv"
    group:
        "route"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        router=lambda wildcards: as_built(ROUTERS[wildcards.router]),
        modules=CONFIG.modules,
        seed=CONFIG.seed,
        code=lambda wildcards: script_digest(
            "predict_perturbed.py",
            *router_files([wildcards.router]),
            *fusion_files(ROUTERS[wildcards.router].fusion),
        ),
    message:
        "Asking {wildcards.router} perturbed questions (salt {wildcards.salt})"
    script:
        "../scripts/predict_perturbed.py"
