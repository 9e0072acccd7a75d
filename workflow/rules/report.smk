from importlib.metadata import version


rule main_table:
    input:
        index=index_file,
        routers=ROUTER_REPLICATES,
        singles=SINGLE_REPLICATES,
        outcomes=f"{RESULTS}/outcomes",
    output:
        csv=report(
            f"{RESULTS}/tables/table2.csv",
            caption="../report/table2.rst",
            category="Tables",
        ),
        markdown=f"{RESULTS}/tables/table2.md",
        latex=f"{RESULTS}/tables/table2.tex",
        quality_neutral=table_files("tableS4"),
        points=report(
            f"{RESULTS}/tables/operating_points.csv",
            caption="../report/operating_points.rst",
            category="Tables",
        ),
        differences=report(
            f"{RESULTS}/tables/differences.csv",
            caption="../report/differences.rst",
            category="Tables",
        ),
    log:
        f"{RESULTS}/logs/main_table.log",
    benchmark:
        f"{RESULTS}/benchmarks/main_table.tsv"
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        routers=ROWS,
        elsewhere=lambda wildcards: [*CONFIG.elsewhere],
        salts=SALTS,
        title=TITLE,
        conventions=CONFIG.conventions,
        code=script_digest("main_table.py"),
    message:
        "Writing the main tables"
    script:
        "../scripts/main_table.py"


rule data_report:
    input:
        unpack(embedding_files),
        index=index_file,
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
    output:
        datasets=report(
            f"{RESULTS}/tables/datasets.csv",
            caption="../report/datasets.rst",
            category="Data",
        ),
        models=report(
            f"{RESULTS}/tables/models.csv",
            caption="../report/models.rst",
            category="Data",
        ),
        origins=report(
            f"{RESULTS}/tables/origins.csv",
            caption="../report/origins.rst",
            category="Data",
        ),
        notices=f"{RESULTS}/tables/notices.json",
    log:
        f"{RESULTS}/logs/data_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/data_report.tsv"
    group:
        "present"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(20),
    params:
        simulated=SIMULATED,
        in_shards=lambda wildcards: bool(evaluation_shards()),
        elsewhere=lambda wildcards: CONFIG.elsewhere,
        resamples=CONFIG.resamples,
        seed=CONFIG.seed,
        code=script_digest("data_report.py"),
    message:
        "Counting what the benchmark holds"
    script:
        "../scripts/data_report.py"


rule figures:
    input:
        table=f"{RESULTS}/tables/table2.csv",
        frontiers=ROUTER_FRONTIERS,
        bands=ROUTER_BANDS,
        calibration=ROUTER_CALIBRATION,
        models=SINGLE_MODELS,
    output:
        **{
            name: report(
                f"{RESULTS}/figures/{name}.svg",
                caption=f"../report/figure_{name}.rst",
                category="Figures",
            )
            for name in FIGURES
        },
        png=expand(f"{RESULTS}/figures/{{figure}}.png", figure=FIGURES),
    log:
        f"{RESULTS}/logs/figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures.tsv"
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        figures=FIGURES,
        routers=ROWS,
        # The others encode a choice, not a prediction that could be calibrated.
        predicting=[row for row in ROWS if ROUTERS[row.removesuffix(SHRUNK)].predicts],
        title=TITLE,
        code=script_digest("figures.py"),
    message:
        "Drawing the main figures"
    script:
        "../scripts/figures.py"


# The same for every benchmark: of the library alone.
rule chart:
    output:
        library=f"{RESULTS}/figures/chart.js",
        empty=f"{RESULTS}/figures/chart.json",
    log:
        f"{RESULTS}/logs/chart.log",
    benchmark:
        f"{RESULTS}/benchmarks/chart.tsv"
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        versions={name: version(name) for name in ("altair", "vl-convert-python")},
        code=script_digest("chart.py"),
    message:
        "Packing the library that draws the report's chart"
    script:
        "../scripts/chart.py"


rule notebook:
    input:
        notebook=lasting(SOURCE_TREE / "notebooks/{notebook}.ipynb"),
        results=lambda wildcards: NOTEBOOKS[wildcards.notebook],
        library=f"{RESULTS}/figures/chart.js",
    output:
        notebook=f"{RESULTS}/notebooks/{{notebook}}.ipynb",
        html=report(
            f"{RESULTS}/notebooks/{{notebook}}.html",
            caption="../report/notebook.rst",
            category="Notebooks",
        ),
    log:
        f"{RESULTS}/logs/notebook/{{notebook}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/notebook/{{notebook}}.tsv"
    wildcard_constraints:
        notebook="|".join(NOTEBOOKS),
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=script_digest(
            "notebook.py", "mmroute.presentation.charts", "mmroute.presentation.tables"
        ),
    message:
        "Running the notebook {wildcards.notebook}"
    script:
        "../scripts/notebook.py"


rule html_report:
    input:
        page=[
            lasting(PACKAGE / "report" / name)
            for name in (
                "report.html.j2",
                "frontier.html.j2",
                "page.html.j2",
                "page.css",
                "page.js",
                "frontier.js",
            )
        ],
        table2=f"{RESULTS}/tables/table2.csv",
        datasets=f"{RESULTS}/tables/datasets.csv",
        models=f"{RESULTS}/tables/models.csv",
        origins=f"{RESULTS}/tables/origins.csv",
        notices=f"{RESULTS}/tables/notices.json",
        singles=SINGLE_MODELS,
        lines=ROUTER_LINES,
        library=f"{RESULTS}/figures/chart.js",
        chart=f"{RESULTS}/figures/chart.json",
        budgets=f"{RESULTS}/tables/budgets.csv",
        points=f"{RESULTS}/tables/operating_points.csv",
        differences=f"{RESULTS}/tables/differences.csv",
        decision=f"{RESULTS}/decision.csv",
        throughput=f"{RESULTS}/benchmarks/throughput.csv",
        sections=[f"{RESULTS}/experiments/{name}.json" for name in SECTIONS],
        tables=[f"{RESULTS}/tables/{name}.csv" for name in SECTIONS],
        drawn=SECTION_FIGURES,
        figures=expand(f"{RESULTS}/figures/{{figure}}.svg", figure=FIGURES),
        # The report shows how long all of them took.
        shown=REPORT_FILES,
    output:
        report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="Report",
        ),
    log:
        f"{RESULTS}/logs/html_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/html_report.tsv"
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        title=CONFIG.name,
        simulated=SIMULATED,
        rows=ROWS,
        sections=SECTIONS,
        config=CONFIG.model_dump(mode="json"),
        snakemake=version("snakemake"),
        manifests=MANIFESTS,
        prices=lambda wildcards: PRICES,
        priced=PRICE_DIGESTS,
        choices=lambda wildcards: [*CONFIG.elsewhere.values()],
        code=script_digest("html_report.py"),
    message:
        "Rendering the report"
    script:
        "../scripts/html_report.py"


# Timings differ from run to run: they lie apart from the tables, which do not.
rule throughput:
    input:
        unpack(encoding_times),
        predicting=expand(
            f"{RESULTS}/benchmarks/predict/{{row}}/{{salt}}.json", row=TIMED, salt=SALTS
        ),
        index=index_file,
        outcomes=f"{RESULTS}/outcomes",
    output:
        csv=f"{RESULTS}/benchmarks/throughput.csv",
        markdown=f"{RESULTS}/benchmarks/throughput.md",
        latex=f"{RESULTS}/benchmarks/throughput.tex",
    log:
        f"{RESULTS}/logs/throughput.log",
    benchmark:
        f"{RESULTS}/benchmarks/throughput.tsv"
    group:
        "present"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        reads=TIMED,
        title=f"{TITLE}: throughput of the routers on this machine",
        code=script_digest("throughput.py"),
    message:
        "Telling how fast the routers decide"
    script:
        "../scripts/throughput.py"
