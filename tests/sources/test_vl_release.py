import base64
import io
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmroute.errors import InputError
from mmroute.outcomes.pool import read_prices, reprice
from mmroute.sources.token_counts import estimate
from mmroute.sources.vl_release import ARCHIVE_NAME, SCENARIOS, VlRelease

EVALUATION, INFERENCE = "VLMEvalKit_evaluation", "VLMEvalKit_inference"


def png(colour):
    content = io.BytesIO()
    Image.new("RGB", (9, 7), colour).save(content, "PNG")
    return content.getvalue()


def sheet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_excel(path, index=False)


def rows(*marks, **more):
    return [{"index": i, "question": f"q{i}", "hit": mark} | more for i, mark in enumerate(marks)]


def release(folder, images=True):
    """Write an unpacked release of two models and return its folder."""
    data = folder / "vlm_router_data"
    for model, marks in (("GPT4o", (1, 0)), ("deepseek_vl2", (0, 1))):
        sheet(data / EVALUATION / model / f"{model}_MMStar_openai_result.xlsx", rows(*marks))
        raw = [{"index": i, "prediction": f"{model} says {i}"} for i in (1, 0)]
        sheet(data / INFERENCE / model / f"{model}_MMStar.xlsx", raw)
    sheet(data / EVALUATION / "GPT4o" / "GPT4o_OCRBench.xlsx", rows(1))
    if images:
        (data / "TSV_images").mkdir()
        cells = [base64.b64encode(png(colour)).decode() for colour in ("red", "blue")]
        table = pd.DataFrame({"index": [0, 1], "image": cells})
        table.to_csv(data / "TSV_images" / "MMStar.tsv", sep="\t", index=False)
    return data


def pack(data, folder):
    folder.mkdir(parents=True)
    with tarfile.open(folder / ARCHIVE_NAME, "w:gz") as archive:
        archive.add(data, arcname=data.name)
    return folder


def read(path, scratch, **parameters):
    source = VlRelease(path=str(path), **parameters)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        return source.read(source.fetch(scratch))


@pytest.mark.parametrize("form", ["archive", "unpacked", "its own folder"])
def test_the_release_is_read_packed_or_not(tmp_path, form):
    data = release(tmp_path / "r")
    place = {
        "archive": pack(data, tmp_path / "packed"),
        "unpacked": tmp_path / "r",
        "its own folder": data,
    }[form]
    table = read(place, tmp_path / "fetched")
    samples = table.samples
    assert samples["sample_id"].tolist() == ["MMStar_0", "MMStar_1", "OCRBench_0"]
    assert samples["scenario"].tolist() == ["General", "General", "Charts & OCR"]
    assert samples["image"].tolist()[:2] == ["images/MMStar/0.png", "images/MMStar/1.png"]
    assert samples["image"].isna().tolist() == [False, False, True]
    assert (tmp_path / "fetched/images/MMStar/1.png").read_bytes() == png("blue")
    assert table.model_names == ["GPT4o", "deepseek_vl2"]
    np.testing.assert_array_equal(table.utility, [[1, 0], [0, 1], [1, np.nan]])
    assert table.prediction[:2].tolist() == [
        ["GPT4o says 0", "deepseek_vl2 says 0"],
        ["GPT4o says 1", "deepseek_vl2 says 1"],
    ]
    lengths = estimate(pd.Series(["GPT4o says 0", "deepseek_vl2 says 0"]))
    np.testing.assert_array_equal(table.completion_tokens[0], lengths)


def test_an_image_counts_256_prompt_tokens_and_costs_what_these_do(tmp_path):
    """Questions of 2 bytes are 1 token, answers of 12 and 19 bytes 3 and 5."""
    prices = read_prices(Path(__file__).parents[2] / "config/prices/vl_routerbench.csv")
    both = [
        reprice(read(release(tmp_path / name, images), tmp_path / name / "f"), prices, "prices")
        for name, images in (("with", True), ("without", False))
    ]
    with_images, without = (table.cost[0] * 1e6 for table in both)
    np.testing.assert_allclose(without, [1 * 2.5 + 3 * 10, 1 * 0.35 + 5 * 0.5])
    np.testing.assert_allclose(with_images, [257 * 2.5 + 3 * 10, 257 * 0.35 + 5 * 0.5])
    # The third sample has no image.
    np.testing.assert_array_equal(both[0].prompt_tokens[2], [1, np.nan])


def test_several_images_count_as_often_and_a_broken_one_does_not(tmp_path):
    data = release(tmp_path / "r", images=False)
    (data / "TSV_images").mkdir()
    red, blue = (base64.b64encode(png(colour)).decode() for colour in ("red", "blue"))
    cells = [str([red, blue, red]), str([red, red[:-5]])]
    table = pd.DataFrame({"index": [0, 1], "image": cells})
    table.to_csv(data / "TSV_images" / "MMStar.tsv", sep="\t", index=False)
    found = read(data, tmp_path / "fetched")
    assert found.samples["image"][0] == "//".join(
        f"images/MMStar/{name}.png" for name in ("0", "0+2", "0+3")
    )
    assert found.samples["image"][1] == "images/MMStar/1.png"
    np.testing.assert_array_equal(found.prompt_tokens[:2, 0], [1 + 3 * 256, 1 + 256])


def test_an_archive_without_images_is_text_only(tmp_path):
    folder = pack(release(tmp_path / "r", images=False), tmp_path / "packed")
    assert read(folder, tmp_path / "fetched").samples["image"].isna().all()


def test_an_unpacked_release_without_images_is_its_own_root(tmp_path):
    data = release(tmp_path / "r", images=False)
    source = VlRelease(path=str(tmp_path / "r"))
    assert source.fetch(tmp_path / "fetched") == data
    assert not (tmp_path / "fetched").exists()


def test_fetching_again_gives_the_same(tmp_path):
    folder = pack(release(tmp_path / "r"), tmp_path / "packed")
    first = read(folder, tmp_path / "fetched")
    again = read(folder, tmp_path / "fetched")
    pd.testing.assert_frame_equal(first.samples, again.samples)


def test_files_may_lie_outside_of_the_models_folders(tmp_path):
    data = release(tmp_path / "r", images=False)
    for model, mark in (("GPT4o_MINI", 1), ("llava_next_vicuna_7b", 0)):
        sheet(data / EVALUATION / f"{model}_MMMU_DEV_VAL_openai_result.xlsx", rows(mark))
    table = read(tmp_path / "r", tmp_path / "fetched")
    assert table.model_names == ["GPT4o", "GPT4o_MINI", "deepseek_vl2", "llava_next_vicuna_7b"]
    row = table.samples["sample_id"].tolist().index("MMMU_DEV_VAL_0")
    np.testing.assert_array_equal(table.utility[row], [np.nan, 1, np.nan, 0])


def test_answers_that_nobody_judged_are_told(tmp_path):
    data = release(tmp_path / "r", images=False)
    sheet(data / INFERENCE / "GPT4o" / "GPT4o_TextVQA_VAL.xlsx", [{"index": 0, "prediction": "a"}])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        VlRelease(path=str(data)).read(data)
    told = [str(warning.message) for warning in caught]
    assert any(
        "no file of TextVQA_VAL says" in one and "1, for instance GPT4o" in one for one in told
    )


def test_the_hub_gives_what_the_folder_gives(tmp_path, check_on_hub):
    folder = pack(release(tmp_path / "r"), tmp_path / "packed")
    (folder / "vlm_router_data_v0.tar.gz").write_bytes(b"older")
    check_on_hub(VlRelease, folder, {ARCHIVE_NAME})
    assert (tmp_path / "source/images/MMStar/1.png").read_bytes() == png("blue")


def test_the_archives_limits_are_those_of_the_config(tmp_path):
    folder = pack(release(tmp_path / "r"), tmp_path / "packed")
    with pytest.raises(InputError, match="3 members"):
        read(folder, tmp_path / "fetched", max_members=3)
    with pytest.raises(InputError, match="bytes"):
        read(folder, tmp_path / "fetched", max_gigabytes=1e-6)


def test_local_files_are_the_archive_or_what_is_read_of_it(tmp_path):
    data = release(tmp_path / "r")
    folder = pack(data, tmp_path / "packed")
    assert VlRelease(path=str(folder)).local_files() == [folder / ARCHIVE_NAME]
    names = {file.name for file in VlRelease(path=str(data)).local_files()}
    assert names == {
        "GPT4o_MMStar_openai_result.xlsx",
        "deepseek_vl2_MMStar_openai_result.xlsx",
        "GPT4o_OCRBench.xlsx",
        "GPT4o_MMStar.xlsx",
        "deepseek_vl2_MMStar.xlsx",
        "MMStar.tsv",
    }
    assert VlRelease(repo="a/b", revision="main").local_files() == []


def test_a_folder_without_a_release_is_refused(tmp_path):
    for act in (VlRelease.local_files, lambda source: source.fetch(tmp_path / "fetched")):
        with pytest.raises(InputError, match="neither vlm_router_data"):
            act(VlRelease(path=str(tmp_path)))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("a")
    with pytest.raises(InputError, match=f"no {EVALUATION} in it"):
        read(pack(tmp_path / "other", tmp_path / "packed"), tmp_path / "fetched")


def test_the_price_table_and_the_scenarios_are_the_papers():
    path = Path(__file__).parents[2] / "config" / "prices" / "vl_routerbench.csv"
    prices = read_prices(path).set_index("model")
    assert len(prices) == 17
    assert prices.loc["GPT4o"].tolist()[:2] == [2.5, 10]
    groups = pd.Series(SCENARIOS).value_counts().to_dict()
    assert groups == {"General": 6, "STEM": 4, "Charts & OCR": 4}
