from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/outcomes.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/evaluation_shards.smk"
include: "workflow/rules/experiments.smk"


if CONFIG.text_only:

    include: "workflow/rules/sources_text_only.smk"


include: "workflow/rules/collect.smk"
include: "workflow/rules/decision.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/provenance.smk"


rule all:
    default_target: True
    input:
        PRODUCTS,
        INTERMEDIATES,
        f"{RESULTS}/provenance.json",
