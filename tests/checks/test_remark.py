"""How remarks are worded."""

import pandas as pd
import yaml


def test_cures_are_yaml_even_for_odd_names(bench):
    odd = ["no", "a: b", "#1", "007", "x y", '"q"', "1e5", ".5", "- z", "é"]
    bench.rows = pd.concat([bench.rows[bench.of("a")].assign(model=name) for name in [*odd, "b"]])
    remark = bench.check(pool=[*odd, "b"], split={"train": 0.5}).one("identical")
    assert remark.cure.split("\n")[-1] == 'pool: ["no"]'
    line = bench.check(pool=["zzzzzz", *odd]).one("'zzzzzz'").cure.split("\n")[-1]
    assert yaml.safe_load(line) == {"pool": odd}
