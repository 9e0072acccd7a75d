# A benchmark of more samples than one job takes is evaluated in two passes over its shards:
#
# evaluate_layout ─┐ ┌─ evaluate_shard 0 ─┐                   ┌─ evaluate_point_shard 0 ─┐
#                  ├─┼─ evaluate_shard 1 ─┼─ evaluate_points ─┼─ evaluate_point_shard 1 ─┼─ evaluate
# evaluate_grid ───┘ └─ evaluate_shard … ─┘                   └─ evaluate_point_shard … ─┘
#
# where shards lie,  sums at every         operating points    sums of what is chosen     curves and
# shared thresholds  threshold             of all sums         at these points            metrics


rule evaluate_layout:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
    output:
        f"{RESULTS}/evaluation/shards/{{salt}}.json",
    log:
        f"{RESULTS}/logs/evaluate_layout/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_layout/{{salt}}.tsv"
    group:
        "prepare"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        size=CONFIG.shard_size.evaluate,
        code=script_digest("evaluate_layout.py"),
    message:
        "Laying out the shards of evaluation (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_layout.py"


rule evaluate_grid:
    input:
        predictions=f"{RESULTS}/routers/{{row}}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{row}}/{{salt}}/crossfit.parquet",
    output:
        f"{RESULTS}/evaluation/shards/{{row}}/{{salt}}/grid.parquet",
    log:
        f"{RESULTS}/logs/evaluate_grid/{{row}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_grid/{{row}}/{{salt}}.tsv"
    group:
        "grid_{salt}"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        policy=CONFIG.policy,
        code=script_digest("evaluate_grid.py"),
    message:
        "Choosing the thresholds that the shards of {wildcards.row} share (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_grid.py"


rule evaluate_shard:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        layout=f"{RESULTS}/evaluation/shards/{{salt}}.json",
        grid=f"{RESULTS}/evaluation/shards/{{row}}/{{salt}}/grid.parquet",
        predictions=f"{RESULTS}/routers/{{row}}/{{salt}}/predictions.parquet",
        crossfit=f"{RESULTS}/routers/{{row}}/{{salt}}/crossfit.parquet",
    output:
        temp(directory(f"{RESULTS}/evaluation/shards/{{row}}/{{salt}}/curves/{{shard}}")),
    log:
        f"{RESULTS}/logs/evaluate_shard/{{row}}/{{salt}}.{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_shard/{{row}}/{{salt}}.{{shard}}.tsv"
    group:
        "shard_{shard}"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        how=MEASURED_BY,
        code=script_digest("evaluate_shard.py"),
    message:
        "Adding up shard {wildcards.shard} of {wildcards.row} (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_shard.py"


rule evaluate_points:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        layout=f"{RESULTS}/evaluation/shards/{{salt}}.json",
        predictions=f"{RESULTS}/routers/{{row}}/{{salt}}/predictions.parquet",
        curves=shard_folders("curves"),
    output:
        f"{RESULTS}/evaluation/shards/{{row}}/{{salt}}/points.parquet",
    log:
        f"{RESULTS}/logs/evaluate_points/{{row}}/{{salt}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_points/{{row}}/{{salt}}.tsv"
    group:
        "points_{salt}"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        how=MEASURED_BY,
        code=script_digest("evaluate_points.py"),
    message:
        "Finding the operating points of {wildcards.row} (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_points.py"


rule evaluate_point_shard:
    input:
        outcomes=f"{RESULTS}/outcomes",
        splits=f"{RESULTS}/splits.parquet",
        layout=f"{RESULTS}/evaluation/shards/{{salt}}.json",
        predictions=f"{RESULTS}/routers/{{row}}/{{salt}}/predictions.parquet",
        points=f"{RESULTS}/evaluation/shards/{{row}}/{{salt}}/points.parquet",
    output:
        temp(directory(f"{RESULTS}/evaluation/shards/{{row}}/{{salt}}/points/{{shard}}")),
    log:
        f"{RESULTS}/logs/evaluate_point_shard/{{row}}/{{salt}}.{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_point_shard/{{row}}/{{salt}}.{{shard}}.tsv"
    group:
        "point_shard_{shard}"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        how=MEASURED_BY,
        code=script_digest("evaluate_point_shard.py"),
    message:
        "Measuring the operating points of {wildcards.row} on shard {wildcards.shard} (salt {wildcards.salt})"
    script:
        "../scripts/evaluate_point_shard.py"
