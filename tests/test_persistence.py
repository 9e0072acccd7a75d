"""What is stored comes back alike; what a file names is never run."""

import hashlib
import json
import subprocess
import sys
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pytest
import safetensors
import torch
from safetensors.numpy import save_file
from scipy.sparse import csr_array
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree._tree import Tree
from torch.nn.functional import gelu, relu

from mmroute import persistence
from mmroute.errors import InputError
from mmroute.features.embeddings import Embeddings
from mmroute.features.fusion import Adaptive, Features
from mmroute.routers.ensemble import Ensemble
from mmroute.routers.kmeans import KMeans as KMeansRouter
from mmroute.routers.knn import KNN
from mmroute.routers.mlp import MLP


@dataclass(frozen=True)
class Note:
    text: str
    values: np.ndarray


class Plain:
    """Holds what it is given, as a user's own router."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Mixed(Plain):
    """May hold estimators and networks, too."""

    estimator_: ExtraTreesRegressor
    network_: torch.nn.Module


OWN = (__name__.split(".")[0],)
"""This module, as a user's own."""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "router.safetensors"


@pytest.fixture
def again(file):
    """Return a function that stores a value and reads it."""

    def store(value):
        persistence.write(file, value)
        return read_as(file, type(value))

    return store


def read_as(file, kind):
    """Read a file as one whose author is trusted."""
    return persistence.read(file, kind, [kind.__module__.split(".")[0]])


def forge(file, value, classes=(), functions=(), tensors=None, text=None):
    """Write a file with a correct digest, whatever it says."""
    tensors = tensors or {}
    structure = {"value": value, "classes": [*classes], "functions": [*functions]}
    text = json.dumps(structure) if text is None else text
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor)
    save_file(tensors, file, {persistence.KEY: digest.hexdigest() + text})


def refused(file, kind=None, trusted=()):
    """Return why a file is not read, which is one line that names it."""
    with pytest.raises(InputError) as caught:
        persistence.read(file, kind, trusted)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def identical(first, second):
    assert type(first) is type(second)
    assert first.dtype == second.dtype
    assert first.shape == second.shape
    assert first.tobytes() == second.tobytes()


# Values


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**100),
        0.1,
        -0.0,
        float("inf"),
        "é\ud800\n",
        [],
        [1, 1.0, [None]],
        (1, ("a", [])),
        {"b": 1, "a": {"c": (2,)}},
        {1: "one", None: 0, ("t", 2.5): [1]},
        {3, 1, 2},
        frozenset({"a"}),
        Counter({"late": 3, 4: 1}),
        OrderedDict(b=1, a=2),
        ["list", 1],
        np.float32,
        np.dtype("<i2"),
    ],
    ids=repr,
)
def test_plain_values_come_back(again, value):
    stored = again(value)
    assert stored == value
    assert repr(stored) == repr(value)


def test_nan_comes_back(again):
    assert np.isnan(again(float("nan")))


def test_the_order_of_a_dict_stays(again):
    assert list(again({"b": 1, "a": 2})) == ["b", "a"]
    assert list(again({2: 1, 1: 2})) == [2, 1]


GENERATOR = np.random.default_rng(0)
NUMBERS = GENERATOR.normal(size=(4, 6, 2))


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", "c8", "c16"])
def test_arrays_of_all_numbers_come_back(again, dtype):
    array = (9 * abs(NUMBERS)).astype(dtype)
    identical(again(array), array)


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.empty((0, 3), np.float32),
        np.array([np.nan, np.inf, -0.0]),
        np.array(["2024-01-01", "NaT"], "M8[ns]"),
        np.array([["a", "longer"], ["", "é"]]),
        np.array("one"),
        np.array([None, "a", (1, 2.5)], object),
        np.array([[1, None]], object),
        NUMBERS[::2, ::-1],
        np.broadcast_to(NUMBERS[0, 0], (3, 2)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_of_any_shape_come_back(again, array):
    stored = again(array)
    assert stored.dtype == array.dtype
    np.testing.assert_array_equal(stored, array)


def test_numbers_come_back_in_native_byte_order(again):
    np.testing.assert_array_equal(again(np.arange(3, dtype=">i4")), np.arange(3))


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_the_order_of_the_axes_in_memory_stays(again, axes):
    """Products of matrices can round otherwise in another order."""
    array = NUMBERS.transpose(axes)
    assert again(array).strides == array.strides
    tensor = torch.from_numpy(NUMBERS).permute(axes)
    assert again(tensor).stride() == tensor.stride()


def test_what_comes_back_can_be_written_to(again):
    first, second = again([np.zeros(3), np.zeros(3)])
    first += 1
    assert second.tolist() == [0, 0, 0]


@pytest.mark.parametrize("align", [True, False])
def test_records_come_back_whatever_pads_them(again, file, align):
    dtype = np.dtype([("a", "u1"), ("b", "f8"), ("c", "?")], align=align)
    files = []
    for padding in (0, 255):
        records = np.full(2 * dtype.itemsize, padding, np.uint8).view(dtype)
        records["a"], records["b"], records["c"] = [1, 2], [0.5, np.nan], [True, False]
        stored = again(records)
        assert stored.dtype == dtype
        for name in dtype.names:
            np.testing.assert_array_equal(stored[name], records[name])
        files.append(file.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "scalar", [np.float32(0.1), np.int8(-3), np.bool(True), np.str_("a"), np.datetime64("2024")]
)
def test_scalars_come_back(again, scalar):
    identical(again(scalar), scalar)


@pytest.mark.parametrize("bits", ["MT19937", "PCG64", "Philox", "SFC64"])
def test_random_generators_go_on_where_they_were(again, bits):
    for kind in (np.random.Generator, np.random.RandomState):
        generator = kind(getattr(np.random, bits)(7))
        generator.normal(size=5)
        stored = again(generator)
        assert type(stored) is kind
        identical(stored.normal(size=5), generator.normal(size=5))


# Objects


def test_dataclasses_and_objects_come_back(again):
    stored = again(Plain(note=Note("a", np.arange(3)), own={"name": "self"}))
    assert type(stored) is Plain
    assert stored.note.text == "a"
    assert stored.note.values.tolist() == [0, 1, 2]
    assert stored.own == {"name": "self"}


def embeddings(width):
    vectors = GENERATOR.normal(size=(20, width)).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    return Embeddings(vectors / norms[:, None], norms, np.arange(20) > 2)


def test_a_fitted_fusion_fuses_alike(again):
    text, image = embeddings(8), embeddings(5)
    fusion = Adaptive().fit(text, image)
    identical(again(fusion).transform(text, image), fusion.transform(text, image))


FEATURES = GENERATOR.normal(size=(200, 5))


@pytest.mark.parametrize(
    ("estimator", "method"),
    [
        (KMeans(3, n_init=1, random_state=0), "predict"),
        (PCA(2), "transform"),
        (make_pipeline(StandardScaler(), RidgeCV()), "predict"),
        (ExtraTreesRegressor(5, random_state=0), "predict"),
        (HistGradientBoostingRegressor(max_iter=5), "predict"),
        (NearestNeighbors(metric="cosine"), "kneighbors_graph"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_estimators_predict_alike(again, estimator, method):
    estimator.fit(FEATURES, FEATURES[:, 0])
    first, second = (getattr(own, method)(FEATURES) for own in (estimator, again(estimator)))
    if method == "kneighbors_graph":
        first, second = first.toarray(), second.toarray()
    identical(second, first)


def test_sparse_matrices_come_back(again):
    np.testing.assert_array_equal(again(csr_array(np.eye(3))).toarray(), np.eye(3))


def test_a_forest_takes_little_more_than_its_numbers(file):
    targets = GENERATOR.normal(size=(1000, 10))
    features = GENERATOR.normal(size=(1000, 20))
    forest = ExtraTreesRegressor(30, min_samples_leaf=3, random_state=0).fit(features, targets)
    persistence.write(file, forest)
    trees = [own.tree_.__getstate__() for own in forest.estimators_]
    assert file.stat().st_size < 1.05 * sum(
        tree["nodes"].nbytes + tree["values"].nbytes for tree in trees
    )


# PyTorch


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.bool])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_tensors_come_back(again, dtype, shape):
    tensor = (torch.rand(shape) > 0.5).to(dtype)
    stored = again(tensor)
    assert stored.dtype == dtype
    assert stored.shape == shape
    assert torch.equal(stored, tensor)


@pytest.mark.parametrize("requires_grad", [True, False])
def test_parameters_come_back(again, requires_grad):
    stored = again(torch.nn.Parameter(torch.ones(2), requires_grad))
    assert type(stored) is torch.nn.Parameter
    assert stored.requires_grad is requires_grad
    assert again(torch.ones(2, requires_grad=requires_grad)).requires_grad is requires_grad


def network():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, activation=gelu, batch_first=True)
    head = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Unflatten(-1, (2, 3)))
    return torch.nn.Sequential(layer, torch.nn.LayerNorm(8), head).eval()


def test_networks_predict_alike(again):
    first = network()
    second = again(first)
    inputs = torch.randn(4, 5, 8)
    with torch.inference_mode():
        assert torch.equal(first(inputs), second(inputs))
    assert not second.training
    assert list(second.state_dict()) == list(first.state_dict())


def test_a_network_that_came_back_can_be_trained(again):
    stored = again(network()).train()
    stored(torch.randn(4, 5, 8)).sum().backward()
    assert all(own.grad is not None for own in stored.parameters())


def test_batch_norm_keeps_its_buffers(again):
    norm = torch.nn.BatchNorm1d(3)
    norm(torch.randn(10, 3))
    assert torch.equal(again(norm).running_mean, norm.running_mean)


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_a_network_comes_back_on_the_cpu_wherever_it_was(again, device):
    first = network().to(device)
    second = again(first)
    assert {own.device.type for own in second.parameters()} == {"cpu"}
    for name, own in second.state_dict().items():
        assert torch.equal(own, first.state_dict()[name].cpu())


# The file


def test_a_file_is_a_safetensors_file_with_one_key(file):
    persistence.write(file, {"a": np.zeros(2), "b": np.ones(3), "c": np.ones(2, np.float32)})
    with safetensors.safe_open(file, "np") as opened:
        assert list(opened.metadata()) == [persistence.KEY]
        names = opened.keys()
        numbers = {name: opened.get_tensor(name).tolist() for name in names}
    assert numbers == {"float64": [0, 0, 1, 1, 1], "float32": [1, 1]}


def test_equal_content_is_equal_bytes(tmp_path):
    forest = ExtraTreesRegressor(5, random_state=0)
    files = []
    for numbers in ({0, 8}, {8, 0}):
        forest.fit(FEATURES, FEATURES[:, 0])
        persistence.write(tmp_path / "file", Mixed(parts=[forest, numbers, network()]))
        files.append((tmp_path / "file").read_bytes())
    assert files[0] == files[1]


def test_what_was_read_is_written_as_the_same_bytes(file):
    forest = ExtraTreesRegressor(5, random_state=0).fit(FEATURES, FEATURES[:, 0])
    persistence.write(file, Mixed(parts=[forest, network()]))
    before = file.read_bytes()
    persistence.write(file, read_as(file, Mixed))
    assert file.read_bytes() == before


def test_a_failure_leaves_the_old_file(file):
    persistence.write(file, 1)
    with pytest.raises(InputError):
        persistence.write(file, print)
    assert persistence.read(file, int) == 1
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "use", ["", "persistence.write(path, {'a': np.ones(2)}); persistence.read(path, dict)"]
)
def test_neither_torch_nor_scikit_learn_is_imported_for_what_has_none_of_them(file, use):
    code = (
        "import sys, pathlib, numpy as np; from mmroute import persistence; "
        f"path = pathlib.Path({str(file)!r}); {use}\n"
        "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# What cannot be stored


def holding_itself():
    cycle = []
    cycle.append({"again": cycle})
    return cycle


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (lambda: 0, "a function"),
        (print, "a function"),
        (partial(relu, inplace=True), "a functools.partial"),
        (threading.Lock(), "a _thread.lock"),
        (open, "a function"),
        (KMeans, "a abc.ABCMeta"),
        (pd.DataFrame({"a": [1]}), "a pandas.DataFrame"),
        (np.zeros(2, np.longdouble), "an array of"),
        (np.zeros(2, [("a", "f8", 2)]), "an array of"),
        (torch.eye(2).to_sparse(), "sparse"),
        (NearestNeighbors(algorithm="kd_tree").fit(FEATURES), "a sklearn.neighbors"),
        (Counter(a=object()).elements, "a builtins.method"),
        (b"bytes", "a builtins.bytes"),
        (holding_itself(), "refers back to what holds it"),
    ],
)
def test_what_cannot_be_stored_is_named_by_its_attributes(file, value, what):
    router = Plain(parts_=[{"name": value}], learned=np.ones(2))
    with pytest.raises(InputError) as caught:
        persistence.write(file, router)
    message = str(caught.value)
    assert message.startswith("Plain.parts_[0]['name']")
    assert what in message
    assert "\n" not in message
    assert not file.exists()


def test_a_hook_is_named(file):
    hooked = network()
    hooked[1].register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match=r"_modules\['1'\]\._forward_hooks\[\d+\]: a function"):
        persistence.write(file, hooked)


def test_nesting_without_end_is_refused(file):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match="nested too deeply"):
        persistence.write(file, deep)


# What is not read


STRANGERS = [
    "os:system",
    "posix:system",
    "builtins:eval",
    "builtins:object",
    "subprocess:Popen",
    "collections:Counter",
    "numpy:memmap",
    "numpy.testing:TestCase",
    "scipy.stats._distn_infrastructure:rv_continuous",
    "torch.nnx:Module",
    "sklearnx:Estimator",
    "sklearn..os:path",
    ".sklearn:Estimator",
    "sklearn/../os:system",
    "sklearn.utils._testing:MinimalClassifier",
    "sklearn.callback._scoring_monitor:ScoringMonitor",
    "sklearn.conftest:Path",
    "sklearn.tests.test_base:MyEstimator",
    "mmroute.__main__:Router",
    "mmroute.encoders.open_clip:OpenClip",
    "mmroute.decision.deployed:DeployedRouter",
    "mmroute.storage.os",
    "mmroute.storage:os.system",
    "mmroute:",
    "ｍmroute.fusion:Text",
    "mmroute.features.fusion:Text\n",
]


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize("kind", [None, Features, KNN, Ensemble, Mixed])
def test_a_class_that_nothing_here_is_made_of_is_named(file, name, kind):
    forge(file, ["object", 0, {}], classes=[name])
    reason = refused(file, kind, OWN if kind is Mixed else ())
    assert repr(name) in reason
    assert "nothing that belongs here is made of" in reason


@pytest.mark.parametrize(
    "name",
    [
        "sklearn.cluster._kmeans:KMeans",
        "sklearn.pipeline:Pipeline",
        "sklearn.compose._column_transformer:ColumnTransformer",
        "sklearn.preprocessing._function_transformer:FunctionTransformer",
        "sklearn.model_selection._search:GridSearchCV",
        "torch.nn.modules.linear:Linear",
        "torch:Tensor",
        "mmroute.routers.kmeans:KMeans",
    ],
)
def test_a_router_of_the_package_holds_its_own_classes_only(file, name):
    forge(file, ["object", 0, {"n_neighbors": ["object", 1, {}]}], [f"{KNN.__module__}:KNN", name])
    assert repr(name) in refused(file, KNN)


@pytest.mark.parametrize(
    "name",
    [
        "sklearn.utils:Bunch",
        "sklearn.base:BaseEstimator2",
        "sklearn.tree._tree:DTYPE",
        "torch.nn:Linear",
        "torch.nn.functional:relu",
        "torch.nn.modules.module:Tensor",
    ],
)
def test_only_classes_pass_and_only_where_they_are_defined(file, name):
    forge(file, ["object", 0, {}], classes=[name])
    assert "not readable as a trained router" in refused(file, Mixed, OWN)


@pytest.mark.parametrize("name", ["sklearn.utils.os:path", "torch.nn.own:Layer"])
def test_a_module_that_is_not_there_is_told(file, name):
    forge(file, ["object", 0, {}], classes=[name])
    assert f"names a module that cannot be imported (No module named '{name[:8]}" in refused(
        file, Mixed, OWN
    )


def test_nothing_is_imported_for_a_class_that_is_not_admitted(file, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stranger.py").write_text("class Router: pass\n")
    forge(file, ["object", 0, {"a": 1}], classes=["stranger:Router"])
    assert "'stranger:Router'" in refused(file, Mixed, OWN)
    assert "stranger" not in sys.modules
    import stranger

    assert persistence.read(file, stranger.Router, ["stranger"]).a == 1


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:exec",
        "torch:load",
        "torch.nn.functional:_verify_batch_size",
        "torch.nn.functional:handle_torch_function",
        "torch.nn.functional:warnings",
        "torch.nn.functional:Tensor",
        "torch.nn.modules.module:register_module_forward_hook",
        "open_clip.factory:create_model",
        "open_clip.tokenizer:default_bpe",
    ],
)
def test_functions_of_elsewhere_are_not_read(file, name):
    forge(file, ["function", 0], functions=[name])
    assert name in refused(file, Mixed, OWN)
    forge(file, ["function", 0], functions=["torch.nn.functional:relu"])
    assert "torch.nn.functional:relu" in refused(file, KNN)


def test_no_constructor_of_a_named_class_is_called(file):
    for name in ("torch.nn.modules.linear:Linear", "sklearn.utils._bunch:Bunch"):
        forge(file, ["constructed", 0, [2, 3], None], classes=[name])
        assert f"{name} may not be called" in refused(file, Mixed, OWN)


def test_a_trusted_class_is_made_without_its_constructor(file, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_router.py").write_text(
        "class Router:\n    def __init__(self):\n        raise RuntimeError\n"
    )
    import own_router

    forge(file, ["object", 0, {"a": 1}], classes=["own_router:Router"])
    assert persistence.read(file, own_router.Router, ["own_router"]).a == 1


def test_types_cannot_stand_for_other_attributes(file):
    for value in (["type", "load"], ["type", "ndarray"], ["dtype", "no type"]):
        forge(file, value)
        refused(file, type)


# What a class says of its instances


def knn(**changes):
    """Return the node of a fitted KNN router, changed, with its tensors."""
    pair = ["tuple", ["array", "f8", [1]], ["array", "f8", [1]]]
    seen = ["tuple", ["array", "?", [1]], ["array", "?", [1]]]
    state = {"n_neighbors": 1, "features_": ["array", "f8", [1, 1]], "outcomes_": pair}
    return ["object", 0, state | {"observed_": seen, "means_": pair} | changes]


KNN_CLASS = [f"{KNN.__module__}:KNN"]
KNN_TENSORS = {"float64": np.ones(5), "bool": np.ones(2, bool)}


def test_a_router_has_all_its_attributes_and_no_others(file):
    forge(file, knn(), KNN_CLASS, tensors=KNN_TENSORS)
    assert type(persistence.read(file, KNN)) is KNN
    for name in ("predict", "fit", "__class__", "__dict__", "name", "index_", "own"):
        forge(file, knn(**{name: 1}), KNN_CLASS, tensors=KNN_TENSORS)
        assert f"KNN with attribute {name!r}" in refused(file, KNN)
    for name in knn()[2]:
        node = knn()
        del node[2][name]
        forge(file, node, KNN_CLASS, tensors=KNN_TENSORS)
        assert f"KNN with no attribute {name!r}" in refused(file, KNN)
    for state in (None, [], 3, "text"):
        forge(file, ["object", 0, state], KNN_CLASS)
        assert "without attributes" in refused(file, KNN)


def test_an_object_stands_only_where_the_class_says_so(file):
    forge(file, knn(features_=knn()), KNN_CLASS, tensors=KNN_TENSORS)
    assert "where none belongs" in refused(file, KNN)
    names = ["mmroute.features.fusion:Features", "mmroute.features.fusion:Text"]
    moments = {"side_mean": ["array", "f8", [1]], "side_spread": ["array", "f8", [1]]}
    for fusion, sound in ((["object", 1, {}], True), (["object", 0, {}], False), ([], False)):
        forge(
            file,
            ["object", 0, {"fusion": fusion} | moments],
            names,
            tensors={"float64": np.ones(2)},
        )
        if sound:
            assert type(persistence.read(file, Features).fusion).__name__ == "Text"
        else:
            refused(file, Features)


def test_what_is_read_is_of_the_class_that_is_asked_for(file):
    forge(file, knn(), KNN_CLASS, tensors=KNN_TENSORS)
    for kind in (KMeansRouter, Features, dict, list, None):
        refused(file, kind)
    persistence.write(file, {"a": 1})
    refused(file, KNN)


def test_parameters_are_compared_before_anything_is_built(file, monkeypatch):
    built = []
    monkeypatch.setattr(MLP, "_networks", lambda self: built.append(1) or {})
    router = MLP(epochs=1).fit(np.ones((9, 2)), np.ones((9, 2)), np.ones((9, 2)))
    persistence.write(file, router)
    built.clear()
    for parameters in ({"epochs": 2}, {"epochs": "1"}, {"epochs": 1, "missing": 3}):
        with pytest.raises(InputError, match=f"{list(parameters)[-1]} is (1|None), not "):
            persistence.read(file, MLP, parameters=parameters)
    assert not built
    with pytest.raises(InputError, match="arrays for"):
        persistence.read(file, MLP, parameters={"epochs": 1})
    assert built


@pytest.mark.parametrize("kind", ["set", "frozenset", "dict", "Counter"])
def test_keys_that_collide_are_refused(file, kind):
    keys = [number * (2**61 - 1) for number in range(1, 100_000)]
    items = keys if "set" in kind else [[key, 1] for key in keys]
    forge(file, [kind, *items])
    asked = {"set": set, "frozenset": frozenset, "dict": dict, "Counter": Counter}[kind]
    assert "keys that are neither text nor small" in refused(file, asked)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_of_a_router_are_finite(file, number):
    tensors = KNN_TENSORS | {"float64": np.array([1, 1, number, 1, 1])}
    forge(file, knn(), KNN_CLASS, tensors=tensors)
    assert "not finite" in refused(file, KNN)
    forge(file, knn(n_neighbors=["float", str(number)]), KNN_CLASS, tensors=KNN_TENSORS)
    refused(file, KNN)
    router = KNN(1).fit(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)))
    router.features_[1, 1] = number
    with pytest.raises(InputError, match=r"KNN\.features_: holds numbers that are not finite"):
        persistence.write(file, router)


def test_an_annotation_that_cannot_be_read_is_told(file, monkeypatch):
    monkeypatch.setitem(Plain.__annotations__, "parts_", "NoSuchClass")
    with pytest.raises(InputError, match="Plain: name 'NoSuchClass' is not defined"):
        persistence.write(file, Plain())


def test_an_attribute_that_is_not_annotated_is_told_when_it_is_stored(file):
    router = KNN(1).fit(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 2)))
    router.own_ = 1
    with pytest.raises(InputError, match=r"KNN: a .*KNN with attribute 'own_' cannot be"):
        persistence.write(file, router)


def test_a_class_of_ones_own_names_packages_by_its_annotations(file):
    with pytest.raises(InputError, match=r"KMeans cannot be stored; .* annotates the attribute"):
        persistence.write(file, Plain(estimator_=KMeans(2)))
    persistence.write(file, Mixed(estimator_=KMeans(2)))
    assert read_as(file, Mixed).estimator_.n_clusters == 2


# Trees, which are walked in C


def tree(**changes):
    """Return the node of a decision tree of three nodes, and its tensors."""
    forest = ExtraTreesRegressor(1, max_depth=1, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    stored = forest.estimators_[0].tree_
    state = stored.__getstate__()
    nodes = state["nodes"].copy()
    for name, values in changes.items():
        nodes[name] = values
    made = Tree(stored.n_features, stored.n_classes, stored.n_outputs)
    made.__setstate__(state | {"nodes": nodes})
    return made


def test_a_sound_tree_comes_back(again):
    features = np.array([[0.0], [1.0]], np.float32)
    identical(again(tree()).predict(features), tree().predict(features))


@pytest.mark.parametrize(
    "changes",
    [
        {"left_child": [0, -1, -1]},
        {"right_child": [0, -1, -1]},
        {"left_child": [3, -1, -1]},
        {"left_child": [10**9, -1, -1]},
        {"left_child": [1, 0, -1], "right_child": [2, 0, -1]},
        {"left_child": [-2, -1, -1]},
        {"right_child": [-1, -1, -1]},
        {"feature": [1, -2, -2]},
        {"feature": [10**9, -2, -2]},
        {"feature": [-5, -2, -2]},
    ],
    ids=repr,
)
def test_a_tree_whose_walk_would_not_end_or_leave_its_memory_is_refused(file, changes):
    persistence.write(file, tree(**changes))
    assert "lead nowhere" in refused(file, Tree, ["sklearn"])


NO_NODES = [
    "records",
    [0],
    False,
    [
        [name, ["array", dtype, [0]]]
        for name, dtype in (("left_child", "i8"), ("right_child", "i8"), ("feature", "i8"))
    ],
]
NO_VALUES = ["array", "f8", [0, 1, 1]]


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        ([10**12, ["array", "i8", [1]], 1], {}),
        ([1, ["array", "i8", [1]], 10**12], {}),
        ([1, ["array", "i8", [1]], 2], {}),
        ([1, ["array", "i8", [0]], 0], {}),
        ([1, ["array", "i8", [1]], 1], {"node_count": 0, "nodes": NO_NODES, "values": NO_VALUES}),
        ([1, ["array", "i8", [1]], 1], {"node_count": 10**12}),
        ([1, ["array", "i8", [1]], 1], {"node_count": 2}),
        ([1.5, ["array", "i8", [1]], 1], {}),
    ],
    ids=repr,
)
def test_a_tree_of_other_sizes_than_its_arrays_is_refused(file, arguments, state):
    persistence.write(file, tree())
    with safetensors.safe_open(file, "np") as opened:
        structure = json.loads(opened.metadata()[persistence.KEY][32:])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    kind, number, _, attributes = structure["value"]
    forge(
        file, [kind, number, arguments, attributes | state], structure["classes"], tensors=tensors
    )
    if arguments[0] == 10**12:
        assert persistence.read(file, Tree, ["sklearn"]).n_features == 10**12
    else:
        refused(file, Tree, ["sklearn"])


def test_texts_of_very_different_lengths_are_refused(file):
    forge(file, ["text", [10**6], ["a" * 10**7] + [""] * (10**6 - 1)])
    assert "a text of 10000000 characters" in refused(file, np.ndarray)


@pytest.mark.parametrize(
    "value",
    [
        [],
        ["unknown", 1],
        [[], 1],
        [1, 2],
        ["float", "1"],
        ["dict", 1],
        ["set", ["list"]],
        ["array"],
        ["array", "f8", [-1]],
        ["array", "f8", [5]],
        ["array", "f8", [2**70]],
        ["array", "f8", [2.0]],
        ["array", "f8", [1, 2], [0, 0]],
        ["array", "f4", [1]],
        ["array", "O", [1]],
        ["array", "f8,f8", [1]],
        ["array", "M8", [3]],
        ["records", [10**12], False, []],
        ["records", [3], False, [["a", ["array", "f8", [1]]]]],
        ["text", [3], ["a"]],
        ["objects", [2], ["list", 1]],
        ["tensor", "load", False, ["array", "f8", [3]]],
        ["tensor", "int64", True, ["array", "f8", [3]]],
        ["random", "Generator", "default_rng", {}],
        ["random", "Generator", "PCG64", {"bit_generator": "PCG64"}],
        ["pattern", "re", "(", 0],
        ["member", 0, "os"],
        ["object", 0, {}],
        ["object", "0", {}],
        ["function", 0],
        ["size", -1],
        ["array", "f8", [2]],
    ],
    ids=repr,
)
def test_a_malformed_structure_is_no_traceback(file, value):
    forge(file, value, tensors={"float64": np.ones(3)})
    assert "not readable as a trained router" in refused(file, list)


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[1]", "{}", '{"value": ' + 10**5 * "[", '{"value": ' + 10**4 * "9"]
)
def test_a_header_without_a_structure_is_no_traceback(file, text):
    forge(file, None, text=text)
    assert "not readable as a trained router" in refused(file)


def test_structures_nested_without_end_are_no_traceback(file):
    forge(file, None, text='{"value": ' + 900 * '["list", ' + 900 * "]" + "}")
    refused(file)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"float64": np.ones((3, 1))},
        {"float64": np.ones(3, np.float32)},
        {"float64": np.ones(4)},
        {"float64": np.ones(3), "other": np.ones(1)},
    ],
)
def test_tensors_are_those_of_the_structure(file, tensors):
    forge(file, ["array", "f8", [3]], tensors=tensors)
    refused(file, np.ndarray)


def test_another_safetensors_file_is_told(file):
    save_file({"a": np.ones(2)}, file, {"format": "pt"})
    assert "no router of this version of mmroute" in refused(file)
    save_file({"a": np.ones(2)}, file)
    assert "no router of this version of mmroute" in refused(file)


def test_a_truncated_file_is_told(file):
    persistence.write(file, {"a": np.arange(100), "b": "text"})
    whole = file.read_bytes()
    for length in (0, 7, 8, 50, len(whole) - 1):
        file.write_bytes(whole[:length])
        refused(file, dict)


def test_a_changed_byte_is_told(file):
    persistence.write(file, {"a": np.arange(100), "b": "text"})
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(file, dict)


def test_a_router_of_another_row_is_told(tmp_path):
    own, other = (
        tmp_path / f"results/run/routers/{row}/0/router.safetensors" for row in ("knn", "linear")
    )
    for path in (own, other):
        persistence.write(path, {"a": np.arange(3)})
    assert own.read_bytes() != other.read_bytes()
    own.write_bytes(other.read_bytes())
    assert f"{own}: was written as 'routers/linear/0/router.safetensors'; make it" in refused(own)


def test_a_router_outside_of_a_run_may_lie_anywhere(file, tmp_path):
    persistence.write(file, {"a": 1})
    assert persistence.read(file.rename(tmp_path / "other.safetensors"), dict) == {"a": 1}


def test_no_file_and_a_folder_are_told(tmp_path):
    refused(tmp_path / "none.safetensors")
    refused(tmp_path)
