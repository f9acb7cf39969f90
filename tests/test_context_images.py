"""Any picture becomes a part within budget: upright, stripped, the same bytes each time; or is refused in words."""

import base64
import io
import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.display import SVG
from IPython.display import Image as Shown
from PIL import Image, ImageDraw, ImageOps

from kimi_magic.context import images, kinds
from kimi_magic.context.description import Description, Look
from kimi_magic.context.guard import Guard
from kimi_magic.context.images import apart
from kimi_magic.errors import CommandError

LOOK = Look(Guard())
MODES = [
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "LA",
    "PA",
    "RGBX",
    "RGBa",
    "La",
    "I;16",
    "I;16L",
    "I;16B",
    "I;16N",
]
SIDES = {"low": 512, "auto": 1568, "high": 3072}
SVG_HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '


def described(obj: object, look: Look = LOOK) -> Description:
    description = images.describe(obj, look)
    assert description is not None
    return description


def decoded(obj: object, look: Look = LOOK) -> Image.Image:
    return Image.open(io.BytesIO(described(obj, look).images[0].data))


def file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), "uint8"))


def photo(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([128 + 90 * np.sin(x / 70), 128 + 90 * np.cos(y / 50), 100 + 60 * np.sin((x + y) / 90)], -1)
    return Image.fromarray((smooth + np.random.default_rng(1).normal(0, 6, smooth.shape)).clip(0, 255).astype("uint8"))


def screenshot() -> Image.Image:
    image = Image.new("RGB", (900, 600), "white")
    draw = ImageDraw.Draw(image)
    for row in range(30):
        draw.text((10, 20 * row), f"line {row}: some words on a screen" * 3, fill=(row * 8, 0, 90))
    return image


def quadrants() -> Image.Image:
    """An image whose four corners tell each turn and mirror apart."""
    image = Image.new("RGB", (60, 40))
    for box, colour in (
        ((0, 0, 30, 20), "red"),
        ((30, 0, 60, 20), "lime"),
        ((0, 20, 30, 40), "blue"),
        ((30, 20, 60, 40), "white"),
    ):
        image.paste(colour, box)
    return image


def corners(image: Image.Image) -> list[tuple[bool, ...]]:
    image = image.convert("RGB")
    width, height = image.size
    places = [(5, 5), (width - 6, 5), (5, height - 6), (width - 6, height - 6)]
    return [tuple(level > 128 for level in image.getpixel(place)) for place in places]


def assert_within(description: Description, look: Look) -> None:
    (part,) = description.images
    room = {"low": min(40_000, look.picture_room), "auto": look.picture_room, "high": 3 * look.picture_room}[
        look.detail
    ]
    assert len(part.data) <= room
    assert max(part.width, part.height) <= SIDES[look.detail]
    with Image.open(io.BytesIO(part.data)) as again:
        again.load()
        assert again.size == (part.width, part.height)
        assert Image.MIME[again.format] == part.media_type
    assert part.detail == look.detail


# Budgets


@pytest.mark.parametrize("detail", ["low", "auto", "high"])
@pytest.mark.parametrize(
    "make", [lambda: noise(2000, 1500), lambda: photo(3300, 900), lambda: photo(300, 3500), screenshot]
)
def test_every_picture_is_within_the_budget_of_its_detail(make, detail):
    look = replace(LOOK, detail=detail)
    assert_within(described(make(), look), look)


@settings(deadline=None, max_examples=60)
@given(
    width=st.integers(0, 300),
    height=st.integers(0, 300),
    mode=st.sampled_from(MODES),
    room=st.integers(0, 5000),
    detail=st.sampled_from(["low", "auto", "high"]),
    seed=st.integers(0, 9),
)
def test_any_size_mode_and_room_is_within_budget_or_refused(width, height, mode, room, detail, seed):
    look = replace(LOOK, picture_room=room, detail=detail)
    image = Image.new(mode, (width, height))
    if min(width, height) > 0 and mode in {"RGB", "RGBA", "CMYK", "L", "YCbCr", "HSV"}:
        image = noise(width, height, seed).convert(mode)
    try:
        description = described(image, look)
    except CommandError:
        return
    assert_within(description, look)


@settings(deadline=None, max_examples=80)
@given(
    data=st.binary(max_size=200),
    cut=st.integers(0, 3000),
    at=st.integers(0, 2500),
    start=st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]),
)
def test_a_damaged_file_is_sent_or_refused_and_nothing_else(data, cut, at, start):
    whole = file(photo(48, 32), start)
    damaged = whole[: min(at, len(whole))] + data + whole[at : max(at, cut)]
    try:
        description = images.describe(damaged, LOOK)
    except CommandError:
        return
    assert description is None or description.images


def test_a_small_picture_is_not_enlarged():
    assert decoded(quadrants()).size == (60, 40)
    assert decoded(Image.new("RGB", (1, 1), "red")).getpixel((0, 0)) is not None


def test_an_extreme_shape_keeps_a_pixel_of_its_short_side():
    assert decoded(Image.new("RGB", (100_000, 1))).size == (1568, 1)


def test_a_picture_that_keeps_its_pixels_is_sent_without_loss():
    image = screenshot()
    sent = described(image)
    assert sent.images[0].media_type == "image/png"
    assert decoded(image).convert("RGB").tobytes() == image.tobytes()


def test_a_photo_is_sent_as_jpeg_and_says_so():
    description = described(file(photo(4000, 3000), "JPEG"))
    assert description.text == "image, 4000 × 3000 RGB, sent as 1568 × 1176 JPEG"
    assert description.kind == "image"
    assert description.shape.startswith("1568 × 1176 px, ")
    assert description.omitted == "pixels: 4000 × 3000 made 1568 × 1176"


@pytest.mark.parametrize("make", [lambda: noise(700, 500), screenshot, lambda: photo(1800, 1200)])
def test_the_same_pixels_are_the_same_bytes(make):
    image = make()
    as_array, as_png = np.asarray(image), file(image, "PNG")
    assert len({described(each).images[0].data for each in (image, as_array, as_png, image.copy())}) == 1


def test_no_picture_fits_in_no_room():
    with pytest.raises(CommandError, match="no picture fits in 10 bytes"):
        images.describe(quadrants(), replace(LOOK, picture_room=10))


def test_without_pictures_there_is_text_alone():
    description = described(quadrants(), replace(LOOK, pictures=False))
    assert not description.images
    assert description.text == "PIL image 60 × 40 RGB, picture not sent"


# Modes


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow_can_be_sent(mode):
    assert_within(described(Image.new(mode, (40, 30))), LOOK)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "P", "I", "F", "RGBX", "RGBa"])
def test_every_mode_shows_what_it_showed(mode):
    grey = Image.linear_gradient("L").resize((64, 64))
    # Pillow reaches RGBa by RGBA alone, I and F by L; its fixed palette has few greys, one made for the image has all.
    start = {"RGBa": "RGBA", "I": "L", "F": "L"}.get(mode, "RGB")
    image = grey.convert(start).convert(mode, palette=Image.Palette.ADAPTIVE)
    sent = np.asarray(decoded(image).convert("L"), dtype=int)
    assert abs(sent - np.asarray(grey, dtype=int)).max() <= 4


def test_transparency_lies_on_white():
    image = Image.new("RGBA", (40, 30), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 20, 30))
    for each in (image, image.convert("PA"), image.convert("RGBa"), image.quantize()):
        sent = decoded(each).convert("RGB")
        assert sent.getpixel((5, 5)) == (0, 0, 255)
        assert sent.getpixel((35, 5)) == (255, 255, 255)


def test_a_palette_with_a_transparent_colour_lies_on_white():
    image = Image.new("P", (40, 30), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 20, 30))
    sent = decoded(file(image, "GIF", transparency=0)).convert("RGB")
    assert [sent.getpixel(place) for place in ((5, 5), (35, 5))] == [(255, 255, 255), (0, 0, 255)]


def test_a_png_of_16_bits_is_stretched_and_says_so():
    values = np.linspace(1000, 5000, 64 * 64).astype("uint16").reshape(64, 64)
    data = file(Image.fromarray(values), "PNG")
    description = described(data)
    sent = np.asarray(decoded(data).convert("L"))
    assert (sent.min(), sent.max()) == (0, 255)
    assert "values 1000 to 5000 shown as black to white" in description.text


def test_floats_that_are_not_finite_are_refused():
    values = np.zeros((40, 40), "float32")
    values[3, 3] = np.inf
    with pytest.raises(CommandError, match="not finite"):
        images.describe(Image.fromarray(values), LOOK)


def test_a_cmyk_jpeg_shows_its_colours():
    image = Image.new("RGB", (64, 64), "red").convert("CMYK")
    red, green, blue = decoded(file(image, "JPEG")).convert("RGB").getpixel((30, 30))
    assert red > 240
    assert max(green, blue) < 15


# Orientation and metadata


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_sent_the_way_up_that_it_is_shown(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file(quadrants(), kind, exif=exif, **({"quality": 95} if kind != "PNG" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    sent = decoded(data)
    assert sent.size == expected.size
    assert corners(sent) == corners(expected)
    assert sent.getexif().get(0x0112) is None


def test_a_large_photo_on_its_side_has_its_upright_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    description = described(file(photo(2400, 1600), "JPEG", exif=exif))
    assert description.text == "image, 1600 × 2400 RGB, sent as 1045 × 1568 JPEG"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_metadata_is_sent(kind):
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    exif.get_ifd(0x8825)[29] = "2024:05:06"
    options = {"exif": exif, "icc_profile": b"SecretProfile" * 20, "dpi": (123, 123), "comment": b"SecretComment"}
    data = file(photo(200, 150), kind, **options)
    image = Image.open(io.BytesIO(data))
    for source in (data, image):
        sent = described(source).images[0].data
        assert b"Secret" not in sent
        assert b"2024" not in sent
        again = Image.open(io.BytesIO(sent))
        assert not again.getexif()
        assert set(again.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


# What is a picture


def test_bytes_are_a_picture_only_where_they_begin_as_one():
    data = file(quadrants(), "PNG")
    for each in (data, bytearray(data), memoryview(data)):
        assert corners(decoded(each)) == corners(quadrants())
    for other in (
        b"",
        b"hello",
        b"BM is no bitmap, only text",
        b"<html><svg></svg></html>",
        data[1:],
        memoryview(data)[::2],
        bytearray(),
    ):
        assert images.describe(other, LOOK) is None
        assert images.brief(other, LOOK) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF"])
def test_a_file_is_known_by_its_content(kind, tmp_path):
    path = tmp_path / "picture.txt"
    path.write_bytes(file(quadrants(), kind))
    assert described(path).text.startswith(
        "image picture.txt, 60 × 40 RGB" if kind != "GIF" else "image picture.txt, 60 × 40 P"
    )
    assert images.brief(path, LOOK).startswith(f"{kind} image picture.txt 60 × 40")


def test_a_path_that_is_no_picture_is_left_to_others(tmp_path):
    text = tmp_path / "picture.png"
    text.write_text("no picture", encoding="utf-8")
    for path in (text, tmp_path, tmp_path / "nothing.png", Path("a\0b")):
        assert images.describe(path, LOOK) is None
        assert images.brief(path, LOOK) is None


def test_a_hostile_file_name_is_legible(tmp_path):
    path = tmp_path / "a\n|`\x1b[31m\u202e.png"
    path.write_bytes(file(quadrants(), "PNG"))
    assert described(path).text.splitlines()[0].isprintable()
    assert len(described(path).text.splitlines()) == 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_an_animation_the_first_frame_is_sent_and_the_others_are_counted(kind):
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")]
    data = file(frames[0], kind, save_all=True, append_images=frames[1:])
    description = described(data)
    assert description.text.endswith("frame 1 of 3")
    assert description.omitted == "frame 1 of 3"
    assert decoded(data).convert("RGB").getpixel((5, 5))[0] > 200


def test_an_open_animation_stays_on_its_frame_with_what_was_drawn_into_it():
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")]
    image = Image.open(io.BytesIO(file(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    image.seek(1)
    image.load()
    image.paste((0, 0, 0), (0, 0, 10, 10))
    assert described(image).text.endswith("frame 2 of 3")
    assert image.tell() == 1
    assert image.getpixel((5, 5)) == (0, 0, 0)


def test_an_open_file_keeps_its_size():
    image = Image.open(io.BytesIO(file(photo(2000, 1500), "JPEG")))
    described(image)
    assert image.size == (2000, 1500)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((32, 40), "uint8"),
        np.full((16, 20, 3), 7, "uint8"),
        np.full((16, 20, 4), 7, "uint8"),
        np.linspace(0, 1, 16 * 20 * 3).reshape(16, 20, 3),
        np.linspace(0, 1, 16 * 20 * 4).reshape(16, 20, 4).astype("float16"),
        np.zeros((16, 20, 3), ">f4"),
        np.zeros((64, 80, 3), "uint8")[::2, ::-2],
    ],
)
def test_an_array_that_looks_like_a_picture_is_one(array):
    description = described(array)
    shape = " × ".join(map(str, array.shape))
    assert description.text.startswith(f"array {shape} {array.dtype}, values ")
    assert (description.images[0].height, description.images[0].width) == array.shape[:2]
    assert images.brief(array, LOOK) is None


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((31, 40), "uint8"),
        np.zeros((15, 20, 3), "uint8"),
        np.zeros((40, 40, 2), "uint8"),
        np.zeros((40, 40, 3), "uint16"),
        np.zeros((40, 40, 3), "int8"),
        np.zeros((40, 40, 3), bool),
        np.eye(50) > 0,
        np.zeros((40, 40)),
        np.zeros((40, 40, 3)) + 1.5,
        np.full((40, 40, 3), np.nan),
        np.zeros((1000, 40), "uint8"),
        np.zeros((0, 40, 3), "uint8"),
        np.zeros(40, "uint8"),
        np.zeros((40, 40, 3), object),
        np.ma.masked_less(np.zeros((40, 40), "uint8"), 1),
        np.array(5),
    ],
)
def test_an_array_that_does_not_is_left_to_others(array):
    assert images.describe(array, LOOK) is None


def test_the_levels_of_an_array_are_its_pixels():
    levels = np.arange(256, dtype="uint8").reshape(16, 16).repeat(2, 0).repeat(2, 1)
    assert (np.asarray(decoded(levels).convert("L")) == levels).all()
    assert (np.asarray(decoded(np.stack([levels / 255] * 3, -1)).convert("L")) == levels).all()


def test_an_image_of_ipython_is_sent(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(file(quadrants(), "PNG"))
    for shown in (Shown(data=path.read_bytes()), Shown(filename=str(path))):
        assert corners(decoded(shown)) == corners(quadrants())


def test_an_image_that_is_only_an_address_is_refused():
    with pytest.raises(CommandError, match="nothing is fetched"):
        images.describe(Shown(url="http://127.0.0.1:9/a.png"), LOOK)
    with pytest.raises(CommandError, match=r"no decoder|cannot be read"):
        images.describe(Shown(data=b"no picture", format="png"), LOOK)


@pytest.mark.parametrize("other", [None, 1, "text", "<svg/>", [1], object(), Image, Path, {"a": 1}])
def test_other_things_are_left_to_others(other):
    assert images.describe(other, LOOK) is None
    assert images.brief(other, LOOK) is None


def test_brief_is_one_line():
    assert images.brief(Image.new("RGB", (800, 600)), LOOK) == "PIL image 800 × 600 RGB"
    assert images.brief(file(quadrants(), "PNG"), LOOK) == "PNG image 60 × 40 RGB"


# What is refused


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_a_truncated_file_is_refused_in_words(kind):
    data = file(noise(200, 200), kind)
    with pytest.raises(CommandError, match=r"image cannot be read: .+") as caught:
        images.describe(data[: len(data) // 2], LOOK)
    assert caught.value.hint


def test_an_image_of_no_pixels_is_refused():
    for size in ((0, 5), (5, 0), (0, 0)):
        with pytest.raises(CommandError, match="nothing to show"):
            images.describe(Image.new("RGB", size), LOOK)


def test_a_closed_file_is_refused_in_words():
    image = Image.open(io.BytesIO(file(noise(20, 20), "PNG")))
    image.close()
    with pytest.raises(CommandError, match="image cannot be read"):
        images.describe(image, LOOK)


def test_a_decompression_bomb_is_refused():
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(CommandError, match="too large to decode safely") as caught:
        images.describe(bomb, LOOK)
    assert "MAX_IMAGE_PIXELS" in caught.value.hint


# SVG


def test_an_svg_is_drawn(tmp_path):
    text = SVG_HEAD + 'viewBox="0 0 200 100"><rect width="100" height="100" fill="#0000ff"/></svg>'
    path = tmp_path / "a.svg"
    path.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://127.0.0.1:9/x.dtd">\n<!-- hi -->'
        + text
    )
    for each in (text.encode(), SVG(data=text), path):
        sent = decoded(each).convert("RGB")
        assert sent.size == (200, 100)
        assert [sent.getpixel(place) for place in ((50, 50), (150, 50))] == [(0, 0, 255), (255, 255, 255)]


@pytest.mark.parametrize(
    ("rest", "font"),
    [
        ("", ""),
        ("", 'font-family="Unheard Of"'),
        ("", 'style="fill: #000; font-family: Unheard, Of"'),
        ("", "style=\"font: bold 30px 'Unheard Of'; fill: #000\""),
        ("<style>text { font-family: Unheard }</style>", ""),
        ("<style>text { font: 30px Unheard !important }</style>", 'style="font-family: inherit"'),
    ],
)
def test_the_text_of_an_svg_is_drawn_whatever_its_font_and_said(rest, font):
    words = f'<text y="40" font-size="30" {font}>Hello,\n <tspan>World</tspan></text>'
    data = (SVG_HEAD + f'width="200" height="60">{rest}{words}</svg>').encode()
    assert np.asarray(decoded(data).convert("L")).min() < 128
    assert described(data).text.endswith("PNG; text in it: Hello, World")
    assert described(data, replace(LOOK, pictures=False)).text.endswith("not sent; text in it: Hello, World")


def test_the_text_of_an_svg_is_bounded_and_guarded():
    def text(body: str, look: Look = LOOK) -> Description:
        return described(f'{SVG_HEAD}width="99" height="99">{body}</svg>'.encode(), look)

    assert len(text("<text>many words</text>" * 1000).text) < 1200
    assert text("<g/>").text.endswith("PNG")
    assert "in a page" in text("<foreignObject><p>in a page</p></foreignObject>").text
    guard = Guard()
    guard.hide(pd.DataFrame({"ssn": ["078-05-1120", "219-09-9999", "457-55-5462"]}), ["ssn"])
    private = text("<text>219-09-9999</text>", Look(guard))
    assert (private.images, private.withheld) == ((), ("ssn",))
    assert "219-09" not in private.text
    assert "picture withheld" in private.text


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ('width="4000" height="1000"', (1568, 392)),
        ('width="1in" height="72pt"', (96, 96)),
        ('width="100%" height="100%" viewBox="0 0 30 40"', (30, 40)),
        ('width="60" viewBox="0 0 30 40"', (60, 80)),
        ("", (300, 150)),
        ('width="1e9" height="1e9"', (1568, 1568)),
    ],
)
def test_an_svg_has_its_size_or_what_fits(size, expected):
    assert decoded((SVG_HEAD + size + '><circle r="9"/></svg>').encode()).size == expected


@pytest.mark.parametrize(
    "body",
    [
        '<image href="http://127.0.0.1:9/a.png"/>',
        '<image xlink:href="file:///etc/hostname"/>',
        '<image xlink:href="/etc/hostname"/>',
        '<image href="a.png"/>',
        '<g><use href="other.svg#a"/></g>',
        '<image href="data:image/svg+xml;base64,AAAA"/>',
        '<style>@import "http://127.0.0.1:9/a.css";</style>',
        '<rect fill="url(http://127.0.0.1:9/a.svg#b)"/>',
        '<feImage href=" /etc/hostname"/>',
    ],
)
def test_an_svg_that_names_anything_outside_is_refused(body):
    with pytest.raises(CommandError, match="nothing is fetched"):
        images.describe((SVG_HEAD + f'width="9" height="9">{body}</svg>').encode(), LOOK)


def test_an_svg_may_name_what_is_inside_of_it():
    inner = "data:image/png;base64," + base64.b64encode(file(Image.new("RGB", (9, 9), "red"), "PNG")).decode()
    picture = f'<image href="{inner}" width="9" height="9"/>'
    text = f'{SVG_HEAD}width="9" height="9"><a href="http://127.0.0.1:9/">{picture}</a><use href="#b"/></svg>'
    assert decoded(text.encode()).convert("RGB").getpixel((4, 4)) == (255, 0, 0)


def test_an_svg_with_entities_or_errors_is_refused():
    with pytest.raises(CommandError, match="entities"):
        images.describe(
            f'<!DOCTYPE svg [<!ENTITY e "/etc/hostname">]>{SVG_HEAD}><image href="&e;"/></svg>'.encode(), LOOK
        )
    with pytest.raises(CommandError, match="cannot be read"):
        images.describe(b"<svg><g>", LOOK)


# Other processes


def test_what_runs_apart_gives_its_bytes_or_its_error():
    assert apart.run("print('noise'); out.write(given[::-1]); out.close()", b"abc", 20) == b"cba"
    with pytest.raises(CommandError, match="ValueError: no"):
        apart.run("raise ValueError('no')", b"", 20)
    with pytest.raises(CommandError, match=r"more than 0\.5 s"):
        apart.run("import time; time.sleep(60)", b"", 0.5)


def test_ctrl_c_ends_what_runs_apart():
    code = (
        "import signal, threading, os; from kimi_magic.context.images import apart\n"
        "threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try: apart.run('import time; time.sleep(600)', b'', 500)\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout == "stopped\n"


# Objects that show themselves


class Png:
    def _repr_png_(self) -> bytes:
        return file(quadrants(), "PNG")


class Based:
    def _repr_jpeg_(self) -> tuple[str, dict[str, int]]:
        return base64.b64encode(file(quadrants(), "JPEG", quality=95)).decode(), {"width": 3}


class Bundle:
    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        return {"text/plain": "x", "image/png": file(quadrants(), "PNG")}


class Failing:
    def _repr_png_(self) -> bytes:
        raise RuntimeError("no")


class Other:
    def _repr_png_(self) -> None:
        return None

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        return {"text/html": "<b>"}


class Everything:
    def __getattr__(self, name):
        return lambda *_, **__: name


@pytest.mark.parametrize("cls", [Png, Based, Bundle])
def test_an_object_that_shows_itself_as_a_picture_gives_it(cls):
    data = images.pictured(cls())
    assert data is not None
    assert corners(decoded(data)) == corners(quadrants())


@pytest.mark.parametrize("obj", [Failing(), Other(), Everything(), object(), Png, 1])
def test_an_object_that_does_not_gives_none(obj):
    assert images.pictured(obj) is None


def test_an_object_that_only_shows_itself_is_described_by_its_picture():
    assert kinds.describe(Png(), LOOK).images


def test_recognising_a_picture_imports_no_library_of_the_user():
    code = (
        "import sys, json; from kimi_magic.context import images; from kimi_magic.context.description import Look\n"
        "from kimi_magic.context.guard import Guard\n"
        "images.describe(b'abc', Look(Guard())); images.describe(5, Look(Guard()))\n"
        "print(json.dumps([name for name in ('PIL', 'numpy', 'IPython', 'matplotlib') if name in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(ran.stdout) == []
