from importlib.metadata import version


rule provenance:
    input:
        PRODUCTS,
    output:
        report(
            f"{RESULTS}/provenance.json",
            caption="../report/provenance.rst",
            category="Report",
        ),
    log:
        f"{RESULTS}/logs/provenance.log",
    benchmark:
        f"{RESULTS}/benchmarks/provenance.tsv"
    group:
        "present"
    conda:
        "../../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        config=CONFIG.model_dump(mode="json"),
        snakemake=version("snakemake"),
        manifests=MANIFESTS,
        prices=lambda wildcards: PRICES,
        choices=lambda wildcards: [*CONFIG.elsewhere.values()],
        checkpoints=lambda wildcards: [
            str(file) for encoder in ENCODERS.values() for file in encoder.local_files()
        ],
        made_from=MADE_FROM,
        code=script_digest("provenance.py"),
    message:
        "Recording where the results come from"
    script:
        "../scripts/provenance.py"
