rule embed:
    input:
        # The content decides (params.content), not the file's age: reading the
        # source again must not embed again what has not changed.
        samples=ancient(samples_file),
        source=ancient(f"{RESULTS}/source.json"),
    output:
        embeddings=f"{RESULTS}/embeddings/{{modality}}/{{encoder}}/{{dataset}}.{{shard}}.parquet",
        timing=f"{RESULTS}/benchmarks/encode/{{modality}}/{{encoder}}/{{dataset}}.{{shard}}.json",
    log:
        f"{RESULTS}/logs/embed/{{modality}}/{{encoder}}/{{dataset}}.{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed/{{modality}}/{{encoder}}/{{dataset}}.{{shard}}.tsv"
    group:
        "embed_{shard}"
    conda:
        "../../envs/embed.yaml"
    threads: lambda wildcards: 1 if wildcards.modality == "text" else 2
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
        gpu=lambda wildcards: int(ENCODERS[wildcards.modality].gpu),
    params:
        encoder=lambda wildcards: getattr(CONFIG.encoders, wildcards.modality).name,
        parameters=lambda wildcards: dict(getattr(CONFIG.encoders, wildcards.modality).parameters),
        checkpoint=lambda wildcards: ENCODER_FINGERPRINTS[wildcards.modality],
        rows=shard_rows,
        content=lambda wildcards: shard_content(wildcards)[wildcards.modality],
        code=lambda wildcards: script_digest("embed.py", *encoder_files(wildcards.modality)),
    message:
        "Embedding the {wildcards.modality}s of {wildcards.dataset}, shard {wildcards.shard}, with {wildcards.encoder}"
    script:
        "../scripts/embed.py"


rule embed_perturbed:
    input:
        samples=ancient(samples_file),
        # As for the samples: what places them decides (params.placed).
        splits=ancient(f"{RESULTS}/splits.parquet"),
    output:
        expand(
            f"{RESULTS}/embeddings/perturbed/{{kind}}/{{encoder}}/{{dataset}}.{{shard}}.parquet",
            kind=KINDS,
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/embed_perturbed/{{encoder}}/{{dataset}}.{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed_perturbed/{{encoder}}/{{dataset}}.{{shard}}.tsv"
    group:
        "embed_{shard}"
    conda:
        "../../envs/embed.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
        gpu=int(ENCODERS["text"].gpu),
    params:
        encoder=CONFIG.encoders.text.name,
        parameters=dict(CONFIG.encoders.text.parameters),
        checkpoint=ENCODER_FINGERPRINTS["text"],
        rows=shard_rows,
        seed=CONFIG.seed,
        content=lambda wildcards: shard_content(wildcards)["text"],
        placed=lambda wildcards: [
            CONFIG.split.train,
            SALTS,
            ingested()[wildcards.dataset]["split"],
        ],
        code=script_digest("embed_perturbed.py", *encoder_files("text")),
    message:
        "Embedding the perturbed questions of {wildcards.dataset}, shard {wildcards.shard}, with {wildcards.encoder}"
    script:
        "../scripts/embed_perturbed.py"


rule side_features:
    input:
        samples=ancient(samples_file),
        source=ancient(f"{RESULTS}/source.json"),
    output:
        f"{RESULTS}/embeddings/side/{{dataset}}.{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/side_features/{{dataset}}.{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/side_features/{{dataset}}.{{shard}}.tsv"
    group:
        "embed_{shard}"
    conda:
        "../../envs/embed.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        rows=shard_rows,
        content=shard_content,
        code=script_digest("side_features.py"),
    message:
        "Measuring the questions and images of {wildcards.dataset}, shard {wildcards.shard}"
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
    group:
        "route"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        fusion=lambda wildcards: FUSIONS[wildcards.fusion].name,
        parameters=lambda wildcards: dict(FUSIONS[wildcards.fusion].parameters),
        code=lambda wildcards: script_digest(
            "features.py", *fusion_files(FUSIONS[wildcards.fusion])
        ),
    message:
        "Fusing text and image by {wildcards.fusion} (salt {wildcards.salt})"
    script:
        "../scripts/features.py"
