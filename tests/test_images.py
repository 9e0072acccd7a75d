"""Decoding: whatever lies in a folder of images, there is an upright RGB image or none."""

import errno
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmroute.confined import Limits, confined
from mmroute.errors import InputError
from mmroute.images import counts, decode, each, joined, paths_below, quiet_decoding

pytestmark = pytest.mark.slow


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gradient(mode="RGB", size=(60, 40)):
    return Image.linear_gradient("L").resize(size).convert(mode)


def png_header(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    data = zlib.compress(b"\0" * 100)
    idat = b"IDAT" + data
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk
        + struct.pack(">I", len(data))
        + idat
        + struct.pack(">I", zlib.crc32(idat))
    )


def png_of_zeros(width, height):
    """A whole PNG, a thousandth the size of its pixels."""
    row = b"\0" * (1 + 3 * width)
    packer = zlib.compressobj(9)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    return png_header(width, height)[:33] + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bmp_header(width, height):
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, *[0] * 6)


def gif_header(width, height):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"," + bytes(10) + b";"


def tiff_header(width, height):
    entries = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height)]
    entries += [(279, 100)]
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


def webp_header(width, height):
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended


JPEG = encoded(gradient(), "JPEG")
HOSTILE = {
    "empty.jpg": b"",
    "text.jpg": b"This is no image.\n",
    "truncated.jpg": JPEG[: len(JPEG) // 2],
    "bomb.png": png_header(100_000, 100_000),
    "small-bomb.png": png_header(11_000, 10_000),
    "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    "truncated.gif": encoded(gradient("P"), "GIF")[:40],
    "truncated.tif": encoded(gradient(), "TIFF")[:-200],
    "truncated.png": encoded(gradient(), "PNG")[:-100],
    "truncated.webp": encoded(gradient(), "WEBP")[:-20],
    "bomb.bmp": bmp_header(100_000, 100_000),
    "bomb.gif": gif_header(65_535, 65_535),
    "bomb.tif": tiff_header(100_000, 100_000),
    "bomb.webp": webp_header(16_000, 16_000),
    "vector.png": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    "document.png": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "web.png": b"<!doctype html><script>alert(1)</script>",
}
EXIF = Image.Exif()
EXIF[274] = 6
UNUSUAL = {
    "animated.gif": encoded(
        gradient("P"), "GIF", save_all=True, append_images=[Image.new("P", (60, 40))]
    ),
    "palette.png": encoded(gradient("P"), "PNG", transparency=bytes(range(256))),
    "pixel.png": encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
    "deep.png": encoded(Image.fromarray(np.full((9, 9), 32896, np.uint16)), "PNG"),
    "print.jpg": encoded(gradient("CMYK"), "JPEG"),
    "two-levels.png": encoded(gradient("1"), "PNG"),
    "alpha.webp": encoded(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "WEBP"),
    "phone.jpg": encoded(gradient(), "JPEG", exif=EXIF),
    "broken-exif.jpg": encoded(gradient(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\1\2"),
}


@pytest.fixture
def file(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_decoded_is_no_image(file, name):
    with quiet_decoding():
        assert decode(file(name, HOSTILE[name])) is None
        assert decode(file(name, HOSTILE[name]), 32) is None


@pytest.mark.parametrize("name", UNUSUAL)
def test_every_kind_of_image_becomes_rgb(file, name):
    with quiet_decoding():
        picture = decode(file(name, UNUSUAL[name]))
    assert picture.image.mode == "RGB"
    assert picture.image.size == (picture.width, picture.height)


def test_a_missing_file_and_a_folder_are_no_images(tmp_path):
    assert decode(tmp_path / "missing.jpg") is None
    assert decode(tmp_path) is None


def test_an_image_of_extreme_shape_is_squeezed(file):
    hair = file("hair.png", encoded(Image.new("RGB", (5000, 2), "red"), "PNG"))
    picture = decode(hair)
    assert picture.image.size == (2000, 2)
    assert (picture.width, picture.height) == (5000, 2)
    assert picture.image.getpixel((1999, 1)) == (255, 0, 0)
    thread = file("thread.png", encoded(Image.new("RGB", (1, 60_000)), "PNG"))
    assert decode(thread).image.size == (1, 1000)
    assert decode(thread, 32).image.size == (1, 32)


def test_transparency_lies_on_white(file):
    assert decode(file("a.webp", UNUSUAL["alpha.webp"])).image.getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_grey_is_scaled(file):
    assert decode(file("a.png", UNUSUAL["deep.png"])).image.getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("longest_side", [None, 7, 30])
def test_a_photo_stands_upright(file, longest_side):
    picture = decode(file("a.jpg", UNUSUAL["phone.jpg"]), longest_side)
    assert (picture.width, picture.height) == (40, 60)
    assert picture.image.height > picture.image.width


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_shrinking_keeps_the_aspect_and_tells_the_size_of_the_file(file, kind):
    picture = decode(file("a", encoded(gradient(size=(1200, 800)), kind)), 120)
    assert picture.image.size == (120, 80)
    assert (picture.width, picture.height) == (1200, 800)


def test_a_small_image_is_not_enlarged(file):
    assert decode(file("a.jpg", JPEG), 512).image.size == (60, 40)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([JPEG, *UNUSUAL.values()]), st.data())
def test_no_damage_raises(tmp_path_factory, content, data):
    damaged = bytearray(content)
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(damaged)
    with quiet_decoding():
        picture = decode(path)
    assert picture is None or picture.image.mode == "RGB"


MEASURE = (
    "import resource, sys, pathlib, time\n"
    "import numpy as np\n"
    "from mmroute.images import decode, quiet_decoding\n"
    "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
    "before, start = peak(), time.process_time()\n"
    "with quiet_decoding():\n"
    "    pictures = [decode(path, 64) for path in pathlib.Path(sys.argv[1]).iterdir()]\n"
    "found = sum(picture is not None for picture in pictures)\n"
    "print(found, peak() - before, time.process_time() - start)"
)


def measure(folder):
    """Return how many images a process of its own decodes, its MB and its seconds."""
    command = [sys.executable, "-c", MEASURE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, megabytes, seconds = done.stdout.split()
    return int(found), int(megabytes), float(seconds)


def test_what_cannot_be_decoded_takes_neither_memory_nor_time(tmp_path, file):
    for name, content in HOSTILE.items():
        file(name, content)
    found, megabytes, seconds = measure(tmp_path)
    assert found == 0
    assert megabytes < 60
    assert seconds < 60


def test_a_bomb_within_the_limit_of_pixels_takes_its_pixels_only(tmp_path, file):
    content = png_of_zeros(9_000, 9_000)
    assert len(content) < 9_000**2 * 3 / 500
    file("bomb.png", content)
    found, megabytes, seconds = measure(tmp_path)
    assert found == 1
    assert megabytes < 9_000**2 * 4 * 2.5 / 2**20
    assert seconds < 60


def test_of_an_animation_only_the_first_frame_is_decoded(tmp_path, file):
    frames = [Image.new("P", (1000, 1000), number) for number in range(200)]
    file("long.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    found, megabytes, seconds = measure(tmp_path)
    assert found == 1
    assert megabytes < 60
    assert seconds < 60


def test_nothing_is_said_about_broken_files(tmp_path, file):
    for name, content in (HOSTILE | UNUSUAL).items():
        file(name, content)
    program = (
        "import sys, pathlib\n"
        "from mmroute.images import decode, quiet_decoding\n"
        "with quiet_decoding():\n"
        "    found = [decode(path) for path in pathlib.Path(sys.argv[1]).iterdir()]\n"
        "print(sum(picture is not None for picture in found))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert int(done.stdout) == len(UNUSUAL)


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert decode(tmp_path / "a.png") is None


def test_an_image_that_takes_too_much_memory_is_named_and_not_taken_for_a_broken_one(tmp_path):
    path = tmp_path / "a.png"
    Image.new("1", (10_000, 10_000)).save(path)
    assert path.stat().st_size < 10**5

    def decode_all():
        return [decode(path) for _ in range(20)]

    with pytest.raises(InputError, match=r"a\.png: takes more than 1 GB.*limits\.gigabytes"):
        confined(decode_all, Limits(1, 600))


def test_a_broken_disk_is_no_broken_image(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    gradient().save(path)

    def broken(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(OSError, match="Input/output error"):
        decode(path)


def test_paths_of_several_images_are_one_text_and_many_again(tmp_path):
    assert joined(["a.png", "", "b/c.png"]) == "a.png//b/c.png"
    assert each("a.png//b/c.png") == ["a.png", "b/c.png"]
    assert [each(one) for one in ("a.png", "", None, np.nan)] == [["a.png"], [], [], []]
    assert counts(pd.Series(["a", None, "a//b//c"])).tolist() == [1, 0, 3]
    for root in (Path("root"), tmp_path):
        below = paths_below(root, ["a.png//b.png", None, "c"])
        assert below.tolist() == [f"{root}/a.png//{root}/b.png", None, f"{root}/c"]
        assert each(below[0]) == [f"{root}/a.png", f"{root}/b.png"]
