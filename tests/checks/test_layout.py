"""A check as text for a terminal."""

import unicodedata


def test_tables_and_remarks_errors_first(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    bench.source["path"] = "outcomes.csv"
    bench.rows.loc[bench.number == 0, "dataset"] = "C"
    bench.rows.loc[bench.of("b"), "cost"] = 0
    bench.rows = bench.rows[~(bench.of("c") & (bench.number < 100))]
    bench.source["prices"] = "none.csv"
    expected = """\
tiny: 400 samples in 3 data sets, 2 of 3 models

data set  samples  train  test  text  image  coverage
C               1      0     1     1      0    100.0%
B             200     55   145   200      0    100.0%
A             199     32   167   199      0    100.0%
full          400     87   313   400      0    100.0%

model  coverage  accuracy  USD/call  USD/1M in  USD/1M out  costs from
a        100.0%     48.0%      1.63          -           -      source
b        100.0%     51.5%         0          -           -      source
c         75.0%     53.3%         -          -           -    not used

error    source.prices: no file 'none.csv'
         -> write this file, or name another

warning  left out, as below min_coverage 90%: c 75.0%
         -> min_coverage: 0.75

warning  every call is free: b
         -> in outcomes.csv: give the cost of each call, or token counts and source.prices

note     too small to be trained and tested on, and without a row of their own: C (1); their
         samples count in full, and those of one scenario together in its average where they are
         enough

note     prompt tokens are unknown: costs are used as the source gives them

1 error, 2 warnings, 2 notes
"""
    assert bench.check().text() == expected


def test_hostile_names_steer_no_terminal_and_stay_in_their_columns(bench):
    hostile = "\x1b]0;owned\x07\x9b31m\u202e" + "很长的名字" * 30
    bench.rows["dataset"] = bench.rows["dataset"].replace("A", hostile)
    bench.rows["model"] = bench.rows["model"].replace("a", "evil\r\n\x1b[2J" + "m" * 200)
    bench.rows.loc[bench.of("b"), "model"] = "b\x00\u2028"
    text = bench.check(pool=["b\x00\u2028x", "evil", "问" * 300]).text()
    assert all(one == "\n" or one.isprintable() for one in text)
    assert "\\x1b" in text
    assert max(map(width, text.split("\n"))) <= 100


def test_wide_characters_take_two_columns(bench):
    bench.rows["dataset"] = bench.rows["dataset"].replace({"A": "很长的名字" * 30, "B": "名"})
    text = bench.check(pool=["a", "问" * 300]).text()
    assert set(map(width, text.split("\n\n")[1].split("\n"))) <= {99, 100}
    assert max(map(width, text.split("\n"))) <= 100


def width(line):
    return sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in line)
