rule embed:
    input:
        # The content decides (params.content), not the file's age: reading the
        # source again must not embed again what has not changed.
        samples=ancient(samples_file),
        source=ancient(f"{RESULTS}/source.json"),
    output:
        embeddings=f"{RESULTS}/embeddings/{{modality}}/{{encoder}}/{{dataset}}.parquet",
        timing=f"{RESULTS}/benchmarks/encode/{{modality}}/{{encoder}}/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/embed/{{modality}}/{{encoder}}/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed/{{modality}}/{{encoder}}/{{dataset}}.tsv"
    conda:
        "../../envs/embed.yaml"
    threads: lambda wildcards: 1 if wildcards.modality == "text" else 2
    resources:
        mem_mb=memory(4000),
        runtime=240,
        gpu=lambda wildcards: int(getattr(CONFIG.encoders, wildcards.modality).name == "open_clip"),
    params:
        encoder=lambda wildcards: getattr(CONFIG.encoders, wildcards.modality).name,
        parameters=lambda wildcards: dict(getattr(CONFIG.encoders, wildcards.modality).parameters),
        checkpoint=lambda wildcards: ENCODER_FINGERPRINTS[wildcards.modality],
        content=content_digest,
        code=lambda wildcards: script_digest(
            "embed.py", find("encoders", getattr(CONFIG.encoders, wildcards.modality).name).module
        ),
    message:
        "Embedding the {wildcards.modality}s of {wildcards.dataset} with {wildcards.encoder}"
    script:
        "../scripts/embed.py"


rule side_features:
    input:
        samples=ancient(samples_file),
        source=ancient(f"{RESULTS}/source.json"),
    output:
        f"{RESULTS}/embeddings/side/{{dataset}}.parquet",
    log:
        f"{RESULTS}/logs/side_features/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/side_features/{{dataset}}.tsv"
    conda:
        "../../envs/embed.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=30,
    params:
        content=lambda wildcards: [ingested()[wildcards.dataset][modality] for modality in ENCODERS],
        code=script_digest("side_features.py"),
    message:
        "Measuring the questions and images of {wildcards.dataset}"
    script:
        "../scripts/side_features.py"


rule features:
    input:
        unpack(embedding_files),
        side=side_files,
        splits=f"{RESULTS}/splits.parquet",
    output:
        features=f"{RESULTS}/features/{{fusion}}/{{salt}}.parquet",
        fitted=f"{RESULTS}/features/{{fusion}}/{{salt}}.safetensors",
    log:
        f"{RESULTS}/logs/features/{{fusion}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/features/{{fusion}}/{{salt}}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        fusion=lambda wildcards: FUSIONS[wildcards.fusion].name,
        parameters=lambda wildcards: dict(FUSIONS[wildcards.fusion].parameters),
        code=script_digest("features.py"),
    message:
        "Fusing text and image by {wildcards.fusion} (salt {wildcards.salt})"
    script:
        "../scripts/features.py"
