rule hold_out:
    input:
        unpack(router_inputs),
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
    output:
        expand(
            f"{RESULTS}/routers/{{router}}/{{salt}}/held/{{fold}}+{{step}}.parquet",
            step=NEXT,
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/hold_out/{{router}}/{{salt}}/{{fold}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/hold_out/{{router}}/{{salt}}/{{fold}}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=lambda wildcards: int(ROUTERS[wildcards.router].gpu),
    params:
        router=lambda wildcards: ROUTERS[wildcards.router].name,
        parameters=lambda wildcards: router_parameters(wildcards.router),
        checkpoint=lambda wildcards: own_fingerprint(wildcards.router),
        code=lambda wildcards: script_digest("hold_out.py", *router_files([wildcards.router])),
    message:
        "Training {wildcards.router} on all labels without fold {wildcards.fold}, and one more"
    script:
        "../scripts/hold_out.py"


rule refit:
    input:
        unpack(router_inputs),
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
    output:
        router=f"{RESULTS}/routers/{{router}}/{{salt}}/refit/router.safetensors",
        predictions=f"{RESULTS}/routers/{{router}}/{{salt}}/refit/predictions.parquet",
    log:
        f"{RESULTS}/logs/refit/{{router}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/refit/{{router}}/{{salt}}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=lambda wildcards: int(ROUTERS[wildcards.router].gpu),
    params:
        router=lambda wildcards: ROUTERS[wildcards.router].name,
        parameters=lambda wildcards: router_parameters(wildcards.router),
        checkpoint=lambda wildcards: own_fingerprint(wildcards.router),
        code=lambda wildcards: script_digest("refit.py", *router_files([wildcards.router])),
    message:
        "Training {wildcards.router} on all labels, to be taken away"
    script:
        "../scripts/refit.py"


rule decision:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        predictions=DECIDED_ON,
    output:
        decision=report(
            f"{RESULTS}/decision.csv",
            caption="../report/decision.rst",
            category="Decision",
        ),
        budgets=f"{RESULTS}/tables/budgets.csv",
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
        labels=CONFIG.decision.labels,
        asked=CONFIG.decision.model_dump(exclude={"router", "labels", "blind"}),
        code=script_digest("decision.py"),
    message:
        "Deciding under the config's budgets and quality targets"
    script:
        "../scripts/decision.py"
