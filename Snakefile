from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/route.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/experiments.smk"


if CONFIG.text_only:

    include: "workflow/rules/text_only.smk"


include: "workflow/rules/decision.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/provenance.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        WANTED,
        f"{RESULTS}/provenance.json",


# Every table and figure of the papers by its name there: snakemake --cores 2 table3
for name, files in TARGETS.items():

    rule:
        name:
            name
        input:
            files,
