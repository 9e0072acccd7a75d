rule transfer:
    input:
        unpack(embedding_files),
        side=lambda wildcards: sharded("side"),
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        text_only=rules.outcomes_text_only.output[0],
        text_only_text=rules.embed_text_only.output.text,
        text_only_side=rules.embed_text_only.output.side,
    output:
        f"{RESULTS}/experiments/transfer/{{salt}}.parquet",
    log:
        f"{RESULTS}/logs/experiments/transfer/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/experiments/transfer/{{salt}}.tsv"
    group:
        "experiment_{salt}"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        how=MEASURED_BY,
        routers=prototypes(EXAMINED),
        fusions={
            row: (ROUTERS[row].fusion.name, dict(ROUTERS[row].fusion.parameters))
            for row in EXAMINED
        },
        code=script_digest("transfer.py", *router_files(EXAMINED)),
    message:
        "Training on images and text, testing on text alone (salt {wildcards.salt})"
    script:
        "../scripts/transfer.py"
