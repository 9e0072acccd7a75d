# A second source, of text-only data sets with the same models, for experiments that take it.


use rule fetch as fetch_text_only with:
    output:
        f"{RESULTS}/text_only/source.json",
    log:
        f"{RESULTS}/logs/text_only/fetch.log",
    benchmark:
        f"{RESULTS}/benchmarks/text_only/fetch.tsv"
    params:
        sources=source_arguments(CONFIG.text_only),
        files=FINGERPRINTS["text_only"],
        code=script_digest("fetch.py", *source_files(CONFIG.text_only)),


use rule ingest as ingest_text_only with:
    input:
        f"{RESULTS}/text_only/source.json",
    output:
        directory(f"{RESULTS}/text_only/data"),
    log:
        f"{RESULTS}/logs/text_only/ingest.log",
    benchmark:
        f"{RESULTS}/benchmarks/text_only/ingest.tsv"
    group:
        "text_only"
    params:
        sources=source_arguments(CONFIG.text_only),
        trains=False,
        code=script_digest("ingest.py", *source_files(CONFIG.text_only)),
    message:
        "Reading text-only outcomes and questions"


use rule outcomes as outcomes_text_only with:
    input:
        data=f"{RESULTS}/text_only/data",
    output:
        directory(f"{RESULTS}/text_only/outcomes"),
    log:
        f"{RESULTS}/logs/text_only/outcomes.log",
    benchmark:
        f"{RESULTS}/benchmarks/text_only/outcomes.tsv"
    group:
        "text_only"
    params:
        # Models are matched with the pool by the experiment itself.
        pool=None,
        min_coverage=0.0,
        prices=lambda wildcards: CONFIG.text_only.prices,
        priced=PRICE_DIGESTS["text_only"],
        # What is read anew is joined anew.
        content=None,
    message:
        "Building the text-only outcome table"


rule embed_text_only:
    input:
        data=ancient(f"{RESULTS}/text_only/data"),
        source=ancient(f"{RESULTS}/text_only/source.json"),
    output:
        text=f"{RESULTS}/text_only/embeddings/{ENCODERS['text'].key}.parquet",
        side=f"{RESULTS}/text_only/embeddings/side.parquet",
    log:
        f"{RESULTS}/logs/text_only/embed.log",
    benchmark:
        f"{RESULTS}/benchmarks/text_only/embed.tsv"
    group:
        "text_only"
    conda:
        "../../envs/embed.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=int(ENCODERS["text"].gpu),
    params:
        encoder=CONFIG.encoders.text.name,
        parameters=dict(CONFIG.encoders.text.parameters),
        checkpoint=ENCODER_FINGERPRINTS["text"],
        content=FINGERPRINTS["text_only"],
        code=script_digest("embed_text_only.py", *encoder_files("text")),
    message:
        "Embedding the text-only questions with {params.encoder}"
    script:
        "../scripts/embed_text_only.py"
