from importlib.metadata import version

# What a run without a target makes.
WANTED = [
    f"{RESULTS}/report.html",
    f"{RESULTS}/decision.csv",
    *expand(f"{RESULTS}/notebooks/{{notebook}}.html", notebook=NOTEBOOKS),
    *(file for name in SHOWN for file in TARGETS[name]),
]
# What downloads have written down, if there are any.
MANIFESTS = [
    f"{RESULTS}/{folder}source/{f'{index}/fetched/' if len(sources.parts) > 1 else ''}manifest.json"
    for folder, sources in (("", CONFIG.source), ("text_only/", CONFIG.text_only))
    for index, part in enumerate(sources.parts if sources else ())
    if part.parameters.get("repo")
]


rule provenance:
    input:
        wanted=WANTED,
        prices=[
            sources.prices
            for sources in (CONFIG.source, CONFIG.text_only)
            if sources and sources.prices
        ],
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
    conda:
        "../../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=memory(1000),
        runtime=60,
    params:
        config=CONFIG.model_dump(mode="json"),
        snakemake=version("snakemake"),
        manifests=MANIFESTS,
        code=script_digest("provenance.py"),
    message:
        "Recording where the results come from"
    script:
        "../scripts/provenance.py"
