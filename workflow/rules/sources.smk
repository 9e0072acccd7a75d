rule fetch:
    output:
        f"{RESULTS}/source.json",
    log:
        f"{RESULTS}/logs/fetch.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(240),
    params:
        sources=source_arguments(CONFIG.source),
        files=FINGERPRINTS["source"],
        code=script_digest("fetch.py", *source_files(CONFIG.source)),
    message:
        "Fetching the data"
    script:
        "../scripts/fetch.py"
