"""Arrays of numpy and their kin: what is said of them, what is shown, and what is left unread."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kimi_magic.context import arrays
from kimi_magic.context.description import Description, Look
from kimi_magic.context.guard import Guard
from kimi_magic.context.tables import extent
from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path

MARKER = "Zanzibar-Quokka"


def look(*private: str, **wishes: Any) -> Look:
    guard = Guard()
    if private:
        guard.hide(None, private)
    return Look(guard, **wishes)


def described(obj: object, *private: str, **wishes: Any) -> Description:
    description = arrays.describe(obj, look(*private, **wishes))
    assert description is not None
    return description


def test_an_array_has_shape_dtype_bytes_range_and_gaps() -> None:
    array = np.arange(1000.0).reshape(50, 20)
    array[3, 3], array[4, 4] = np.nan, np.inf
    found = described(array)
    assert found.text.startswith("numpy ndarray: 50 × 20, float64, 8,000 bytes\n")
    assert "range 0 … inf, NaN 1 (< 1 %), infinite 1, mean 500.354" in found.text
    assert "[0, :] 0, 1, 2, 3, 4, 5, …, 17, 18, 19" in found.text
    assert (found.kind, found.shape, found.rows) == ("array", "50 × 20", 6)


def test_a_small_array_is_shown_whole() -> None:
    assert "[1, :] 3, 4, 5" in described(np.arange(6).reshape(2, 3)).text
    assert "[:] 0, 1, 2" in described(np.arange(3)).text
    text = described(np.arange(24).reshape(2, 3, 4)).text
    assert "[1, 2, :] 20, 21, 22, 23" in text
    assert "…" not in text.split("all values:")[1]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array(3.5), "value: 3.5"),
        (np.float32(2.5), "2.5"),
        (np.datetime64("2020-01-01T12:00"), "2020-01-01T12:00"),
        (np.zeros((0, 3)), "0 × 3, float64, 0 bytes"),
        (np.array(["2020-01-02", "NaT"], dtype="M8[ns]"), "range 2020-01-02 … 2020-01-02, NaT 1 (50 %)"),
        (np.array([5, 3], dtype="m8[s]"), "range 3 seconds … 5 seconds"),
        (np.array([True, False, True]), "True 2, False 1"),
        (np.array(["a", "b"] * 100), "nulls 0, distinct 2: a ×100, b ×100"),
        (np.array([{1, 2}, None, [1]], dtype=object), "set 1, list 1; {1, 2} ×1, [1] ×1"),
        (np.ma.masked_array([1.0, 99.0, 3.0], [0, 1, 0]), "1 masked\nrange 1 … 3, mean 2\nall values:\n[:] 1, null, 3"),
        (np.array([1 + 2j]), "(1+2j)"),
        (np.arange(6)[::-2], "range 1 … 5, mean 3"),
        (np.array([b"a\x00b"]), "b'a\\x00b'"),
        (np.asfortranarray(np.arange(6).reshape(2, 3)).T, "[0, :] 0, 3\n[1, :] 1, 4"),
    ],
)
def test_every_kind_of_array_is_legible(array: Any, said: str) -> None:
    assert said in described(array).text


def test_records_are_a_table_of_their_fields() -> None:
    records = np.array([(1, MARKER, 2.5), (2, MARKER, 3.5)], dtype=[("n", "i4"), ("ssn", "U20"), ("x", "f8")])
    found = described(records, "ssn")
    assert "numpy structured ndarray: 2 rows × 3 columns" in found.text
    assert found.columns == ("n", "x")
    assert MARKER not in found.text
    assert "1 ×1, 2 ×1" in found.text
    assert "recarray" in described(records.view(np.recarray), "ssn").text


def test_rows_asked_for_are_evenly_spread() -> None:
    found = described(np.arange(2000).reshape(100, 20), rows=4)
    assert found.rows == 4
    assert "0, 1, 2, 3" in found.text
    assert described(np.arange(1000), rows=7).rows == 7


def test_all_values_are_csv() -> None:
    text = described(np.arange(6.5, 12.5).reshape(2, 3), full=True).text
    assert list(csv.reader(io.StringIO("\n".join(text.splitlines()[2:])))) == [
        ["0", "1", "2"],
        ["6.5", "7.5", "8.5"],
        ["9.5", "10.5", "11.5"],
    ]
    found = described(np.arange(100_000), full=True, room=1_000)
    assert len(found.text) <= 1_000
    assert f"[… {100_000 - found.rows:,} rows left out for lack of room …]" in found.text
    assert "axis 0,axis 1,0,1\n0,0,0,1" in described(np.arange(8).reshape(2, 2, 2), full=True).text


def test_an_array_on_disk_is_not_read_whole(tmp_path: Path) -> None:
    huge = np.memmap(tmp_path / "huge", dtype="float64", mode="w+", shape=(400_000, 1_000))  # 3.2 GB, all of it a hole
    huge[0, 0], huge[-1, -1] = 5, 7
    found = described(huge)
    assert "on disk (memmap)" in found.text
    assert "evenly spread values" in found.text
    assert "[399999, :] 0, 0, 0, 0, 0, 0, …, 0, 0, 7" in found.text
    assert described(huge, full=True).rows > 0


def test_extents_of_parts_are_those_of_the_whole() -> None:
    made = np.random.default_rng(0)
    array = made.normal(size=(700, 500))
    array[made.random(array.shape) < 0.1] = np.nan
    for each in (array, array.T, array[::3, ::-2], array.reshape(-1)):
        found = extent.of_array(each)
        assert found == extent.Extent(int(np.isnan(each).sum()), np.nanmin(each), np.nanmax(each))


def test_values_of_a_private_column_stay_as_an_array_too() -> None:
    frame = pd.DataFrame({"ssn": [f"{MARKER}-{n}" for n in range(50)], "n": range(50)})
    guard = Guard()
    guard.hide(frame, ["ssn"])
    for array in (frame["ssn"].to_numpy(), frame.to_numpy()):
        for wishes in ({}, {"full": True}, {"rows": 20}):
            found = arrays.describe(array, Look(guard, **wishes))
            assert found is not None
            assert MARKER not in found.text
            assert found.withheld
        assert MARKER not in str(arrays.brief(array, Look(guard)))


def test_one_line_says_type_shape_dtype_and_beginning() -> None:
    assert arrays.brief(np.arange(6).reshape(2, 3), look()) == "ndarray 2 × 3 int64 [0, 1, 2, 3, 4, …]"
    assert arrays.brief(np.float64(2.5), look()) == "float64 2.5"
    assert arrays.brief(sp.eye_array(3, format="csr"), look()) == "csr_array 3 × 3 float64, csr, 3 stored"
    assert arrays.brief(xr.DataArray([1, 2], name="t", dims="x"), look()) == "DataArray x 2 int64 t"


def test_what_is_no_array_is_left_to_others() -> None:
    for obj in (np.random.default_rng(0), np.dtype("f8"), np.mean, sp.csr_array, xr, np.errstate(), pd.Timestamp(0)):
        assert arrays.describe(obj, look()) is None
        assert arrays.brief(obj, look()) is None


# xarray


def weather() -> xr.Dataset:
    return xr.Dataset(
        {"t": (("time", "x"), np.arange(30.0).reshape(10, 3)), "ssn": ("x", [1234567, 2345678, 3456789])},
        coords={"time": pd.date_range("2020-01-01", periods=10), "x": [1, 2, 3], "place": ("x", ["a", "b", "c"])},
        attrs={"unit": "K", "ssn": MARKER},
    )


def test_a_dataset_has_dimensions_coordinates_variables_and_attributes() -> None:
    found = described(weather(), "ssn")
    assert "xarray Dataset: time 10 × x 3" in found.text
    assert "coordinate time: time 10, datetime64[" in found.text
    assert "2020-01-01 … 2020-01-10 (first … last)" in found.text
    assert "coordinate place: x 3, <U1, a … c (first … last)" in found.text
    assert "range 0 … 29, mean 14.5" in found.text
    assert "attribute unit: K" in found.text
    assert "1234567" not in found.text
    assert MARKER not in found.text
    assert (found.columns, found.withheld) == (("t",), ("ssn",))


def test_variables_asked_for_are_those_shown() -> None:
    assert described(weather(), columns=("t",)).columns == ("t",)
    with pytest.raises(CommandError) as error:
        described(weather(), columns=("tt",))
    assert "t" in error.value.hint


def test_a_data_array_is_an_array_with_names() -> None:
    text = described(weather()["t"]).text
    assert "xarray DataArray t: time 10 × x 3, float64, 240 bytes" in text
    assert "[9, :] 27, 28, 29" in text
    assert "1234567" not in described(weather()["ssn"], "ssn").text
    assert "1234567" not in described(weather()["ssn"], "ssn", full=True).text


def test_lazy_arrays_are_not_computed() -> None:
    def fail(block: Any) -> Any:
        raise AssertionError(block)

    lazy = da.ones((100, 100), chunks=50).map_blocks(fail, dtype="f8", meta=np.array((), dtype="f8"))
    assert "100 × 100, float64, chunks of 50 × 50, not computed (lazy)" in described(lazy).text
    array = xr.DataArray(lazy, dims=("a", "b"), name="lazy")
    for obj in (array, array.to_dataset()):
        assert "not computed (lazy)" in described(obj).text
        assert arrays.brief(obj, look())
        assert described(obj, full=True).rows == 0


# Sparse matrices


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
def test_a_sparse_matrix_shows_what_is_stored(form: str) -> None:
    dense = np.zeros((30, 40))
    dense[2, 3], dense[20, 9] = 5.5, 7.5
    found = described(sp.csr_array(dense).asformat(form))
    assert f"format {form}" in found.text
    assert "2,3,5.5" in found.text
    assert "20,9,7.5" in found.text
    assert described(sp.csr_array(dense).asformat(form), full=True).rows >= 2


def test_a_large_sparse_matrix_is_not_made_dense() -> None:
    found = described(sp.eye_array(2_000_000, format="csr"))
    assert "2,000,000 × 2,000,000" in found.text
    assert "2,000,000 stored values" in found.text
    assert "0,0,1" in found.text


# Tensors


def test_a_tensor_has_device_and_gradient() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6.0).reshape(2, 3).requires_grad_()
    found = described(tensor)
    assert "torch Tensor: 2 × 3, torch.float32, on cpu, requires grad, 24 bytes" in found.text
    assert "range 0 … 5, mean 2.5" in found.text
    assert "[1, :] 3, 4, 5" in found.text
    assert "range 1 … 1" in described(torch.ones(200, dtype=torch.bfloat16)).text
    assert "on meta" in described(torch.ones(3, device="meta")).text
    assert "torch.sparse_coo" in described(torch.eye(3).to_sparse()).text


# Any array at all


@settings(max_examples=150, deadline=None)
@given(
    array=hnp.arrays(
        hnp.scalar_dtypes() | hnp.array_dtypes(allow_subarrays=False),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
    ),
    wishes=st.fixed_dictionaries(
        {},
        optional={"rows": st.integers(0, 9), "full": st.booleans(), "room": st.integers(100, 5_000)},
    ),
)
def test_any_array_is_described_within_its_room(array: Any, wishes: dict[str, Any]) -> None:
    found = described(array, **wishes)
    assert len(found.text) <= wishes.get("room", 12_000)
    assert described(array.copy(), **wishes) == found
    assert found.text.encode()
    assert arrays.brief(array, look())


def test_display_options_change_nothing() -> None:
    array = np.linspace(0, 1, 50)
    before = described(array).text, arrays.brief(array, look())
    with np.printoptions(precision=1, threshold=2, suppress=True, legacy="1.13"):
        assert (described(array).text, arrays.brief(array, look())) == before
