"""What a run makes: its tables and figures by name, what the report shows and what is kept."""

FIGURES = ["fig4", "figS1", "calibration", "models"]
# What a user can ask for by name.
TARGETS = {name: table_files(name) for name in ("table2", "tableS4")} | {
    name: figure_files(name) for name in FIGURES
}
RULES = "".join(path.read_text() for path in (SOURCE_TREE / "workflow/rules").glob("*.smk"))
for name in {"all", *re.findall(r"^(?:rule|checkpoint) (\w+):", RULES, re.MULTILINE)}:
    if name in EXPERIMENT_OF:
        stop(f"config key experiments.{EXPERIMENT_OF[name]}: {name} is a rule; name it otherwise")
TARGETS |= {
    name: [*table_files(name), *(figure_files(name) if name in DRAWN else [])]
    for name in EXPERIMENT_OF
}
SECTIONS = [output_of(name, EXPERIMENTS[name]) for name in ASKED]
SECTION_FIGURES = [f"{RESULTS}/figures/{name}.svg" for name in SECTIONS if name in DRAWN]
REPORT_TARGETS = ["table2", "tableS4", *FIGURES, *SECTIONS]
REPORT_FILES = [file for name in REPORT_TARGETS for file in TARGETS[name]]
ROUTER_REPLICATES = expand(
    f"{RESULTS}/evaluation/routers/{{row}}/{{salt}}/replicates.parquet", row=ROWS, salt=SALTS
)
ROUTER_FRONTIERS, ROUTER_BANDS, ROUTER_CALIBRATION, ROUTER_LINES = (
    expand(f"{RESULTS}/evaluation/routers/{{row}}/{SALTS[0]}/{part}.parquet", row=ROWS)
    for part in ("frontiers", "bands", "calibration", "lines")
)
SINGLE_REPLICATES = expand(f"{RESULTS}/evaluation/singles/{{salt}}/replicates.parquet", salt=SALTS)
SINGLE_MODELS = f"{RESULTS}/evaluation/singles/{SALTS[0]}/models.parquet"
NOTEBOOKS = {
    "overview": expand(
        f"{RESULTS}/tables/{{table}}",
        table=["table2.csv", "datasets.csv", "models.csv", "notices.json"],
    ),
    "frontier": [
        *ROUTER_FRONTIERS,
        *ROUTER_BANDS,
        *ROUTER_LINES,
        SINGLE_MODELS,
        f"{RESULTS}/tables/table2.csv",
    ],
}
# Routers whose predictions the main table or an experiment reads, and what is embedded for each;
# how long choices from elsewhere took is not known.
TIMED = {
    row: [
        modality
        for modality in ENCODERS
        # A fusion named after one modality masks the other.
        if (fusion := ROUTERS[row].fusion) and fusion.name not in {*ENCODERS} - {modality}
    ]
    for row in dict.fromkeys(
        [
            *(row for row in CONFIG.routers if row not in CONFIG.elsewhere),
            *(row for name in ASKED if not says(name, "trains") for row in routers_of(name)),
        ]
    )
}
# What a run without a target makes.
PRODUCTS = [
    f"{RESULTS}/report.html",
    f"{RESULTS}/decision.csv",
    *expand(f"{RESULTS}/notebooks/{{notebook}}.html", notebook=NOTEBOOKS),
    *REPORT_FILES,
]
DECIDED_ON = evidence_files(RESULTS, CONFIG.decision.router, SALTS[0], CONFIG.decision.labels)
TAKEN_AWAY = trained_folder(RESULTS, CONFIG.decision.router, SALTS[0], CONFIG.decision.labels)
# What jobs and mmroute export read again. A run makes it anew if it is gone, or was moved aside
# because it was damaged, even where all that was made of it is still there.
INTERMEDIATES = [
    f"{RESULTS}/data",
    f"{RESULTS}/outcomes",
    f"{RESULTS}/splits.parquet",
    *expand(
        f"{RESULTS}/features/{{fusion}}/{{salt}}.{{suffix}}",
        fusion={router.fusion.key for router in CONFIG.routers.values() if router.fusion},
        salt=SALTS,
        suffix=["parquet", "safetensors"],
    ),
    *expand(
        f"{RESULTS}/routers/{{row}}/{{salt}}/router.safetensors", row=CONFIG.routers, salt=SALTS
    ),
    *(
        file
        for part in ("predictions", "crossfit")
        for salt in SALTS
        for file in predictions_of(ROWS, part, salt)
    ),
    *DECIDED_ON,
    f"{TAKEN_AWAY}/router.safetensors",
    f"{TAKEN_AWAY}/predictions.parquet",
    *ROUTER_REPLICATES,
    *SINGLE_REPLICATES,
    *expand(
        f"{RESULTS}/experiments/{{name}}/{{salt}}.parquet",
        name=[EXPERIMENT_OF[table] for table in SECTIONS],
        salt=SALTS,
    ),
]


# Every table and figure of the papers by its name there: snakemake --cores 2 table3
for name, files in TARGETS.items():

    rule:
        name:
            name
        input:
            files,
