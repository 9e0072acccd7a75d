checkpoint ingest:
    input:
        f"{RESULTS}/source.json",
    output:
        directory(f"{RESULTS}/data"),
    log:
        f"{RESULTS}/logs/ingest.log",
    benchmark:
        f"{RESULTS}/benchmarks/ingest.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        sources=source_arguments(CONFIG.source),
        shard_size=CONFIG.shard_size.embed,
        # What could not be split or trained is known before anything is embedded.
        trains=True,
        code=script_digest("ingest.py", *source_files(CONFIG.source)),
    message:
        "Reading outcomes, questions and images"
    script:
        "../scripts/ingest.py"


rule split:
    input:
        # A new model or another outcome must not freeze the splits anew: params.content decides.
        index=ancient(index_file),
    output:
        f"{RESULTS}/splits.parquet",
    log:
        f"{RESULTS}/logs/split.log",
    benchmark:
        f"{RESULTS}/benchmarks/split.tsv"
    group:
        "prepare"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        train=CONFIG.split.train,
        salts=CONFIG.split.salts,
        development=CONFIG.split.development,
        content=split_digests,
        code=script_digest("split.py"),
    message:
        "Freezing the splits"
    script:
        "../scripts/split.py"


rule outcomes:
    input:
        # As for the splits: params.content decides.
        index=ancient(index_file),
        # A model that cannot be trained stops the run here, if not at reading.
        splits=f"{RESULTS}/splits.parquet",
    output:
        directory(f"{RESULTS}/outcomes"),
    log:
        f"{RESULTS}/logs/outcomes.log",
    benchmark:
        f"{RESULTS}/benchmarks/outcomes.tsv"
    group:
        "prepare"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        # Names and paths may hold braces, which Snakemake would take for wildcards elsewhere.
        pool=lambda wildcards: CONFIG.pool,
        prices=lambda wildcards: CONFIG.source.prices,
        priced=PRICE_DIGESTS["source"],
        min_coverage=CONFIG.min_coverage,
        content=content_digests,
        code=script_digest("outcomes.py"),
    message:
        "Building the outcome table: pool, prices, costs"
    script:
        "../scripts/outcomes.py"
