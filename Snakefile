from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/route.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        f"{RESULTS}/report.html",
        expand(f"{RESULTS}/tables/table2.{{suffix}}", suffix=["csv", "md", "tex"]),
        expand(f"{RESULTS}/figures/{{figure}}.{{suffix}}", figure=FIGURES, suffix=["svg", "png"]),
        expand(f"{RESULTS}/notebooks/{{notebook}}.html", notebook=NOTEBOOKS),
