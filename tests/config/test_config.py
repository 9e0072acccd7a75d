import json
import re
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
import yaml

from mmroute.catalogue import catalogue
from mmroute.config import (
    DEFAULT_ROUTERS,
    Config,
    known_experiments,
    known_routers,
    load,
    named,
    output_of,
)
from mmroute.config.reference import reference, schema
from mmroute.errors import InputError
from mmroute.evaluation.metrics import CURVE_METRICS
from mmroute.experiments import Experiment

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(
    [
        ROOT / "config/config.yaml",
        *ROOT.glob("config/benchmarks/*.yaml"),
        *ROOT.glob("tests/configs/*"),
    ]
)
LEAST = {"name": "x", "source": {"kind": "demo"}}


def test_all_but_name_and_source_have_defaults():
    config = load(LEAST, "my.yaml")
    assert set(config.routers) == set(DEFAULT_ROUTERS) <= set(catalogue("routers"))
    assert config.shrink
    assert config.split.train == 0.2
    assert config.encoders.text.name == "builtin"
    assert list(config.experiments) == ["main"]


def test_a_convention_can_be_asked_for_by_the_name_of_its_metric():
    asked = [metric.name for metric in CURVE_METRICS if metric.convention]
    assert load(LEAST | {"conventions": asked}, "my.yaml").conventions == asked
    assert get_args(get_args(Config.model_fields["conventions"].annotation)[0]) == tuple(asked)


def test_the_default_config_states_every_key_with_its_default():
    content = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    stated = load(content, "config.yaml")
    assert set(content) == set(type(stated).model_fields)
    assert stated.model_dump(exclude={"routers"}) == load(
        LEAST | {"name": "demo"}, "least"
    ).model_dump(exclude={"routers"})
    assert dict(stated.routers) == dict(load(LEAST, "least").routers)


def test_every_key_of_the_default_config_has_a_comment():
    lines = (ROOT / "config/config.yaml").read_text().splitlines()
    top_level = [index for index, line in enumerate(lines) if line[:1].isalpha()]
    uncommented = [
        lines[index]
        for index in top_level
        if not lines[index - 1].startswith("#")
        and not lines[index + 1].lstrip().startswith("#")
        and not lines[index].startswith("min_coverage")
    ]
    assert uncommented == []


@pytest.fixture(scope="module")
def validator():
    """Return what validates against the schema, which is valid itself."""
    kind = jsonschema.validators.validator_for(schema())
    kind.check_schema(schema())
    return kind(schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_valid_under_model_and_schema(path, validator):
    content = yaml.safe_load(path.read_text())
    load(content, str(path))
    validator.validate(content)


def test_the_schema_file_is_the_models_own():
    written = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    assert written == schema(), "run make schema"


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"kind": "hub"}},
        {"source": {"kind": "demo", "sample": 3}},
        {"source": {"join": []}},
        {"source": {"join": [{"kind": "demo"}], "path": "x"}},
        {"encoders": {"text": "clip"}},
        {"encoders": {"text": {"builtin": {}, "open_clip": {"model": "a", "pretrained": "b"}}}},
        {"routers": {"knn": {"n_neighbors": 0}}},
        {"routers": {"knn": {"fusion": "sum"}}},
        {"routers": {"knn": {"fusion": {"weighted": {"weight": 2}}}}},
        {"routers": {"random": {"fusion": "mean"}}},
        {"routers": {"mine": {}}},
        {"text_only": {"kind": "table"}},
    ],
)
def test_what_a_config_cannot_hold_the_schema_refuses_too(change, validator):
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(LEAST | change)
    with pytest.raises(InputError):
        load(LEAST | change, "my.yaml")


def test_the_default_config_names_every_kind_of_source_and_its_keys():
    text = (ROOT / "config/config.yaml").read_text()
    for kind, entry in catalogue("sources").items():
        for word in (kind, *entry.parameters):
            assert re.search(rf"^#.*\b{word}\b", text, re.MULTILINE), (kind, word)


def test_the_reference_has_every_key_with_its_type_default_and_meaning():
    text = reference()
    assert "| `split.train` | number, above 0, below 1 | `0.2` | Share of each data set" in text
    chapters = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    for room in ("sources", "encoders", "features", "routers"):
        chapter = chapters["Fusions" if room == "features" else room.capitalize()]
        sections = dict(
            re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", chapter, re.MULTILINE | re.DOTALL)
        )
        for name, entry in catalogue(room).items():
            rows = re.findall(
                r"^\| `(\w+)` \| (.+) \| (.+) \| (.*) \|$", sections[name], re.MULTILINE
            )
            assert {key for key, *_ in rows} - {"fusion", "prices"} == {
                key for key in entry.parameters if key != "random_state"
            }
            prose = sections[name].split("| key")[0]
            for key, _, _, meaning in rows:
                # Unless the class says it as it says what it does.
                assert meaning or f"`{key}`" in prose, (name, key)


def test_no_rule_and_but_for_the_defaults_no_model_names_a_router_or_an_encoder():
    files = {path.name: path.read_text() for path in ROOT.glob("workflow/rules/*.smk")}
    code = (ROOT / "src/mmroute/config/__init__.py").read_text()
    files["config"] = re.sub(
        r"^\w+_ROUTERS = \(.*?\)$|^DECIDED_ON = .*?$", "", code, flags=re.M | re.S
    )
    for name in [*catalogue("encoders"), *catalogue("routers")]:
        for file, text in files.items():
            assert not re.search(rf"""(?<!default=)["']{name}["']""", text), (file, name)


def test_several_sources_share_one_price_table_and_have_different_labels():
    table = {"kind": "table", "path": "my.csv"}
    hub = {"kind": "mmr_release", "repo": "a/b", "revision": "v1"}
    given = {"join": [table, hub, table], "prices": "p.csv"}
    source = load({"name": "x", "source": given}, "my.yaml").source
    assert source.prices == "p.csv"
    assert list(source.labelled) == [
        "table my.csv",
        "mmr_release a/b at v1",
        "table my.csv (source 3)",
    ]
    assert source.parts[0].parameters["shape"] == "long"
    assert source.price_file == Path("p.csv")


def test_prices_may_stand_in_the_config():
    prices = {"m": [2.5, 10], "n": 0.25}
    source = load({"name": "x", "source": {"kind": "demo", "prices": prices}}, "my.yaml").source
    assert (source.prices, source.price_file) == (prices, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nam": 1}, "nam: unknown key; did you mean name?"),
        ({"name": "../x"}, "name: .* not '../x'"),
        ({"name": ""}, "name: "),
        ({"source": {"kind": "hub"}}, "source: unknown source 'hub'; choose from: decision_log, "),
        (
            {"source": {"kind": "demo", "sample": 3}},
            "demo.sample: unknown key; did you mean samples",
        ),
        ({"source": {"kind": "demo", "samples": -3}}, "demo.samples.* not -3"),
        ({"source": {"kind": "table"}}, "table.path: missing"),
        ({"source": {"join": []}}, "source: join: give a list of sources"),
        ({"source": {"join": [{"kind": "demo"}], "path": "x"}}, "source: path: unknown key"),
        ({"source": {"join": [{"kind": "demo"}, {}]}}, "join.1: give a mapping with the key kind"),
        ({"source": {"join": [{"kind": "demo", "sample": 3}]}}, "join.0: demo.sample: unknown key"),
        (
            {"source": {"join": [{"kind": "demo", "prices": "p.csv"}]}},
            "join.0: prices: all models are priced by one table",
        ),
        ({"source": "demo"}, "source: give a mapping with the key kind"),
        *(
            ({"source": {"kind": "demo", "prices": bad}}, "prices: give the path of a CSV file, or")
            for bad in (3, {}, {"m": [1]}, {"m": [1, -1]}, {"m": "1"}, {"m": True}, {4: [1, 1]})
        ),
        ({"routers": {"kn": {}}}, "routers: unknown router 'kn'; choose from: .*knn"),
        ({"routers": {"knn": {"n_neighbours": 3}}}, "knn.n_neighbours: unknown key; did you mean"),
        ({"routers": {"knn": {"n_neighbors": 0}}}, "knn.n_neighbors: .* not 0"),
        ({"routers": {"knn": {"fusion": "sum"}}}, "knn.fusion: unknown fusion 'sum'; choose from"),
        (
            {"routers": {"knn": {"fusion": {"weighted": {"weight": 2}}}}},
            "weighted.weight: .* not 2",
        ),
        (
            {"routers": {"random": {"fusion": "mean"}}},
            "random.fusion: this router uses no features",
        ),
        ({"routers": []}, "routers: give a mapping of router names"),
        ({"encoders": {"text": "clip"}}, "encoders.text: unknown encoder 'clip'; choose from"),
        ({"encoders": {"txt": "builtin"}}, "encoders.txt: unknown key; did you mean text?"),
        ({"split": {"train": 1}}, "split.train: .* not 1"),
        ({"split": {"salts": []}}, "split.salts: "),
        ({"split": {"salts": [0, "0"]}}, "split.salts: salts must differ"),
        ({"split": {"salts": ["a/b"]}}, "split.salts: salt 'a/b' must be letters"),
        (
            {"experiments": ["main"]},
            r"experiments: give a mapping .*\{main: \{\}\}, not \['main'\]",
        ),
        ({"policy": "greedy"}, "policy: .* not 'greedy'"),
    ],
)
def test_a_wrong_config_is_refused_in_one_line_with_file_key_and_value(change, message):
    with pytest.raises(InputError, match=message) as caught:
        load(LEAST | change, "my.yaml")
    assert re.match(r"my\.yaml: config key \w", str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_fault_of_several_keys_names_them_alone():
    change = {"routers": {"theirs": {"choices": "c.csv"}}, "decision": {"router": "theirs"}}
    with pytest.raises(InputError, match=r"^my\.yaml: config key decision\.router: 'theirs' are"):
        load(LEAST | change, "my.yaml")


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match=r"my\.yaml: config key name: missing"):
        load({"source": {"kind": "demo"}}, "my.yaml")


def test_fusions_with_different_parameters_have_different_keys():
    routers = {
        "knn": {"fusion": {"weighted": {"weight": 0.25}}},
        "linear": {"fusion": "weighted"},
        "mlp": None,
    }
    config = load(LEAST | {"routers": routers}, "my.yaml")
    assert [config.routers[name].fusion.key for name in routers] == [
        "weighted-0.25",
        "weighted-0.5",
        "mean",
    ]


def test_a_row_of_another_name_gives_its_router_as_class():
    rows = load(
        LEAST | {"routers": {"knn_5": {"class": "knn", "n_neighbors": 5, "fusion": "text"}}}, "x"
    ).routers
    assert rows["knn_5"].name == "knn"
    assert rows["knn_5"].parameters == {"n_neighbors": 5}
    assert rows["knn_5"].fusion.name == "text"


def test_a_router_from_outside_the_package_is_read_but_not_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "outside_router.py").write_text(
        "raise SystemExit\n\nclass Mine:\n    fusion = 'mean'\n"
        "    def __init__(self, strength: float = 2.0) -> None: ...\n"
    )
    mine = {"class": "outside_router:Mine", "strength": 3}
    row = load(LEAST | {"routers": {"mine": mine}}, "x").routers["mine"]
    assert (row.parameters, row.fusion.name, row.predicts) == ({"strength": 3.0}, "mean", True)
    for wrong, message in (
        ({"class": "outside_router:Mine", "strenght": 3}, "did you mean strength"),
        ({"class": "outside_router:Yours"}, "no class 'Yours' in it; it has: Mine"),
        ({"class": "nowhere_at_all:Mine"}, "no module 'nowhere_at_all'"),
    ):
        with pytest.raises(InputError, match=message):
            load(LEAST | {"routers": {"mine": wrong}}, "x")


def test_an_experiment_from_outside_the_package_is_read_but_not_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "outside_experiment.py").write_text(
        "raise SystemExit\n\nclass Mine:\n    title = 'Mine'\n    question = 'Whose?'\n"
        "    routers = ('knn', 'nobody')\n"
        "    def __init__(self, depth: Annotated[int, Ge(1)] = 2) -> None: ...\n\n"
        "class Bare: ...\n"
    )

    def with_row(row, **more):
        return load(LEAST | {"experiments": {"main": {}, "mine": row}} | more, "x")

    mine = {"class": "outside_experiment:Mine", "depth": 3}
    config = with_row(mine, routers={"knn": {}, "nobody": {"class": "knn"}})
    asked = config.experiments["mine"]
    assert (asked.name, asked.parameters) == ("outside_experiment:Mine", {"depth": 3})
    assert (output_of("mine", asked), config.modules) == ("mine", ["outside_experiment"])
    assert "mine" in known_experiments(config.experiments)
    for wrong, message in (
        (mine, "mine takes the router 'nobody'"),
        (mine | {"depth": 0}, "mine.depth: .* not 0"),
        (mine | {"deep": 1}, "deep: unknown key; did you mean depth"),
        ({"class": "outside_experiment:Bare"}, "the class has no title"),
        ({"class": "outside_experiment:Yours"}, "no class 'Yours' in it; it has: Mine, Bare"),
    ):
        with pytest.raises(InputError, match=message):
            with_row(wrong)


@pytest.mark.parametrize(
    ("row", "body", "message"),
    [
        ("table2", "", "table2: makes table2, as main does; give its class another output"),
        ("datasets", "", "datasets: makes datasets, as main does"),
        ("mine", "    output = 'a/b'\n", "a/b: a row's name has letters, digits"),
        ("mine", "    output = '{y}'\n", "a row's name has letters, digits"),
    ],
)
def test_an_experiment_takes_no_name_of_another_result(tmp_path, monkeypatch, row, body, message):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"named_{abs(hash((row, body)))}"
    (tmp_path / f"{name}.py").write_text(
        "from mmroute.experiments import Experiment\n\n\nclass Mine(Experiment):\n"
        f"    title = 't'\n    question = 'q'\n{body}"
    )
    with pytest.raises(InputError, match=message):
        load(LEAST | {"experiments": {"main": {}, row: {"class": f"{name}:Mine"}}}, "x")


def test_a_figure_that_nothing_draws_is_refused_when_the_class_is_made():
    class Bare(Experiment):
        pass

    assert not Bare.figure
    with pytest.raises(InputError, match="Undrawn: figure is True, and there is no draw"):

        class Undrawn(Experiment):
            figure = True


def test_a_module_that_is_no_python_is_one_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "torn.py").write_text("class Mine(:\n")
    with pytest.raises(InputError, match=r"torn.py: no Python that can be read .* correct it"):
        load(LEAST | {"routers": {"mine": {"class": "torn:Mine"}}}, "x")


def test_every_experiment_can_be_asked_for_by_name_but_for_one_whose_output_is_made():
    assert set(known_experiments({})) == set(catalogue("experiments"))
    rows = load(
        LEAST | {"experiments": {"main": {}, "few": {"class": "modality"}}}, "x"
    ).experiments
    known = known_experiments(rows)
    assert "few" in known
    assert "modality" not in known


def test_every_router_that_needs_nothing_can_be_asked_for_by_name():
    known = known_routers(load(LEAST | {"routers": {"knn": {"n_neighbors": 7}}}, "x").routers)
    assert known["knn"].parameters == {"n_neighbors": 7}
    assert known["vlc"].fusion.name == "pair"
    assert "llm" not in known


CHOICES = {"choices": "theirs.csv"}


@pytest.mark.parametrize("row", ["theirs", "choices", "kmeans_vl"])
def test_a_row_of_choices_needs_no_class_and_predicts_nothing(row):
    config = load(LEAST | {"routers": {row: CHOICES, "knn": {}}}, "x")
    own = config.routers[row]
    assert (own.name, own.parameters, own.elsewhere) == ("choices", CHOICES, "theirs.csv")
    assert (own.predicts, own.fusion, own.reads_samples, own.gpu) == (False, None, False, False)
    assert config.elsewhere == {row: "theirs.csv"}
    assert config == load(
        LEAST | {"routers": {row: CHOICES | {"class": "choices"}, "knn": {}}}, "x"
    )
    assert "choices" not in known_routers(load(LEAST, "x").routers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"studied": ["knn", "theirs"]}, "studied: 'theirs' are choices from elsewhere, .* knn"),
        ({"decision": {"router": "theirs"}}, "decision.router: 'theirs' are choices .* ensemble"),
        ({"decision": {"router": "theirs+shrink"}}, "decision.router: 'theirs' are choices"),
        ({"routers": {"knn": CHOICES}}, "studied: 'knn' are choices from elsewhere"),
        (
            {"routers": {"uniroute": CHOICES}, "experiments": {"main": {}, "pool": {}}},
            "experiments: pool takes the router 'uniroute', .* name that row otherwise",
        ),
        ({"routers": {"theirs": CHOICES | {"seed": 1}}}, "theirs.seed: unknown key"),
        ({"routers": {"theirs": {"choices": 3}}}, "theirs.choices: .* not 3"),
        ({"routers": {"theirs": CHOICES | {"fusion": "text"}}}, "theirs.fusion: .* no features"),
    ],
)
def test_what_a_row_of_choices_cannot_do_is_said(change, message):
    with pytest.raises(InputError, match=message):
        load(LEAST | {"routers": {"theirs": CHOICES}} | change, "x")


def test_a_router_from_outside_the_package_has_what_its_base_has(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "derived_router.py").write_text(
        "from mmroute.routers.vlc import VLC\n\nclass Mine(VLC):\n    fusion = 'text'\n\n\n"
        "class Bare: ...\n"
    )
    mine = {"class": "derived_router:Mine", "layers": 3, "mode": "finetune"}
    row = load(LEAST | {"routers": {"mine": mine}}, "x").routers["mine"]
    assert (row.parameters["layers"], row.reads_samples, row.gpu) == (3, True, True)
    row = load(LEAST | {"routers": {"mine": mine | {"mode": "frozen"}}}, "x").routers["mine"]
    assert (row.fusion.name, row.reads_samples, row.gpu) == ("text", False, False)
    for wrong, message in (
        (mine | {"layers": 0}, "routers: mine.layers: .* not 0"),
        ({"class": "derived_router:Bare"}, "mine: derived_router:Bare does not say its fusion"),
    ):
        with pytest.raises(InputError, match=message):
            load(LEAST | {"routers": {"mine": wrong}}, "x")


def test_a_router_that_is_fine_tuned_reads_questions_and_images_instead_of_features():
    rows = load(LEAST | {"routers": {"vlc": {"mode": "finetune"}}}, "x").routers
    assert (rows["vlc"].fusion, rows["vlc"].reads_samples, rows["vlc"].predicts) == (
        None,
        True,
        True,
    )
    assert rows["vlc"].encoder == named(
        "encoders", "open_clip", {"model": "ViT-B-32", "pretrained": "openai"}
    )


def test_what_wants_a_gpu_says_so():
    rows = known_routers(load(LEAST | {"routers": {"vlc": {"mode": "finetune"}}}, "x").routers)
    assert [row for row, router in rows.items() if router.gpu] == ["vlc"]
    assert [name for name, entry in catalogue("encoders").items() if entry.attributes["gpu"]] == [
        "hugging_face",
        "open_clip",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"routers": {"a/b": {"class": "knn"}}}, "a/b: a row's name has letters"),
        ({"routers": {"best_single": {"class": "knn"}}}, "best_single: a row's name"),
        ({"routers": {"zero": {"class": "knn"}}}, "zero: a row's name that every result table has"),
        ({"routers": {"zero_hindsight": {"class": "knn"}}}, "zero_hindsight: a row's name"),
        ({"studied": ["random"]}, "studied: 'random' is no router with features"),
        ({"experiments": {"vl": {}}}, "main is missing"),
        ({"experiments": {"main": {}, "vll": {}}}, "unknown experiment 'vll'; choose from: .*vl"),
        ({"experiments": {"main": {"x": 1}}}, "main: takes no options"),
        ({"experiments": {"main": {}, "vl": {}, "b": {"class": "vl"}}}, "b: makes vl_main, as vl"),
        (
            {"experiments": {"main": {}, "modality": {"n_clusters": [0]}}},
            "modality.n_clusters.0: .* 0",
        ),
        (
            {"experiments": {"main": {}, "modality": {"n_clusters": []}}},
            "modality.n_clusters: .* 1 item",
        ),
        ({"n_clusters": [5]}, "n_clusters: unknown key; .* option below experiments: modality"),
        ({"uncertainty": {"votes": 2}}, "uncertainty: unknown key; .* experiments: uncertainty"),
        ({"experiments": {"main": {}, "transfer": {}}}, "text_only: the experiment transfer needs"),
        ({"text_only": {"kind": "nothing"}}, "text_only: unknown source 'nothing'"),
        ({"decision": {"budgets": ["half"]}}, "decision.budgets"),
        ({"decision": {"what_if_prices": {"gpt": -1}}}, "decision.what_if_prices.gpt"),
        ({"decision": {"budgets": [float("inf")]}}, "decision.budgets"),
        (
            {"decision": {"router": "oracle"}},
            "decision.router: 'oracle' is no router that could be",
        ),
        ({"decision": {"router": "gone"}}, "decision.router: 'gone' is no router .* ensemble"),
        (
            {"experiments": {"main": {}, "uncertainty": {"person_cost_usd": float("inf")}}},
            "uncertainty.person_cost_usd",
        ),
        ({"name": "a" * 151}, "name: String should have at most 150 characters"),
        ({"routers": {"a" * 151: {"class": "knn"}}}, "a row's name has at most 150 characters"),
        ({"routers": {"x" + "ab" * 20: {"class": "knn"}}}, "does not end in the same ones 20"),
        ({"split": {"salts": [11111111111111111111]}}, "does not end in the same ones 20 times"),
        ({"split": {"salts": ["a" * 151]}}, "split.salts: salt a+...: a salt has at most 150"),
    ],
)
def test_rows_experiments_and_decisions_are_checked(change, message):
    with pytest.raises(InputError, match=f"x: config key .*{message}"):
        load(LEAST | change, "x")


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"kind": ["demo"]}},
        {"source": {"kind": {"a": 1}}},
        {"routers": {"mine": {"class": ["knn"]}}},
        {"routers": {1: {"class": "knn"}}},
        {"encoders": {"text": {None: None}}},
    ],
)
def test_a_name_that_is_no_text_is_refused(change):
    with pytest.raises(InputError, match="x: config key"):
        load(LEAST | change, "x")


@pytest.mark.parametrize("key", ["pool", "name", "source", "routers", "seed", "text_only"])
def test_aliases_that_stand_for_gigabytes_are_refused_in_a_short_line(key):
    bomb = ["x"] * 9
    for _ in range(9):
        bomb = [bomb] * 9
    with pytest.raises(InputError) as caught:
        load(LEAST | {key: bomb}, "x")
    assert len(str(caught.value)) < 2000
