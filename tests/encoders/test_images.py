"""Decoding: whatever lies in a folder of images, there is an upright RGB image or none."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmroute.encoders.images import decode, quiet_decoding


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


JPEG = encoded(gradient(), "JPEG")
HOSTILE = {
    "empty.jpg": b"",
    "text.jpg": b"This is no image.\n",
    "truncated.jpg": JPEG[: len(JPEG) // 2],
    "bomb.png": png_header(100_000, 100_000),
    "small-bomb.png": png_header(11_000, 10_000),
    "hair.png": encoded(Image.new("L", (2001, 2)), "PNG"),
    "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
    "truncated.gif": encoded(gradient("P"), "GIF")[:40],
    "truncated.tif": encoded(gradient(), "TIFF")[:-200],
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


def test_nothing_is_said_about_broken_files(tmp_path, file):
    for name, content in (HOSTILE | UNUSUAL).items():
        file(name, content)
    program = (
        "import sys, pathlib\n"
        "from mmroute.encoders.images import decode, quiet_decoding\n"
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
