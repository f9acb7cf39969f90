"""Arrays with axes, whoever made them: numpy's own, tensors of torch, jax and tensorflow, lazy ones of dask.

Each is read as an `Array`: shape, dtype, one value at a time, and what numpy can be asked about all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kimi_magic.context.description import Look
from kimi_magic.context.tables import extent
from kimi_magic.context.tables.cells import count, number, percent
from kimi_magic.context.tables.columns import attempt, ranged, summarise
from kimi_magic.context.tables.sampling import spread

__all__ = ["Array", "find", "first", "of_numpy", "said", "withheld"]

_HUGE = 20_000_000
_SAMPLED = 25_000
_FETCHED = 1_000_000
_CHECKED = 300
_CHECKED_COLUMNS = 64


@dataclass(frozen=True, slots=True)
class Array:
    """An array. `facts` are what else is said of it; `values` is a numpy array of all its values, None for a lazy one.

    `at` gives one value by its index, None for an array without values.
    """

    title: str
    dtype: str
    shape: tuple[int, ...]
    facts: tuple[str, ...] = ()
    values: Any = None
    at: Callable[[tuple[int, ...]], Any] | None = None

    @property
    def size(self) -> int:
        """How many values there are."""
        return math.prod(self.shape)


def find(obj: Any) -> Array | None:
    """Read an object as an array; None for anything else."""
    roots = {cls.__module__.partition(".")[0] for cls in type(obj).__mro__}
    if "numpy" in roots and hasattr(obj, "dtype") and hasattr(obj, "shape"):
        return of_numpy(obj, f"numpy {type(obj).__name__}")
    if not hasattr(obj, "shape") or not hasattr(obj, "dtype"):
        return None
    if "torch" in roots:
        return _torch(obj)
    if "dask" in roots and hasattr(obj, "chunks"):
        chunks = " × ".join(count(max(sizes, default=0)) for sizes in obj.chunks)
        return _lazy(obj, "dask Array", f"chunks of {chunks}, not computed (lazy)")
    if roots & {"jax", "jaxlib", "tensorflow"}:
        return _tensor(obj)
    return None


def of_numpy(values: Any, title: str, *facts: str) -> Array:
    """Read an array of numpy; a masked one has None where it is masked."""
    import numpy as np

    said = [*facts, f"{count(int(values.nbytes))} bytes"]
    if isinstance(values, np.memmap):
        said.append("on disk (memmap)")
    if masked := _masked(values):
        said.append(f"{count(masked)} masked")

    def at(index: tuple[int, ...]) -> Any:
        value = values[index]
        return None if value is np.ma.masked else value

    return Array(title, str(values.dtype), tuple(map(int, values.shape)), tuple(said), values, at)


def _masked(values: Any) -> int:
    import numpy as np

    return int(np.count_nonzero(np.ma.getmaskarray(values))) if np.ma.isMaskedArray(values) else 0


def first(array: Array, wanted: int) -> list[Any]:
    """Read the first values, in the order of the axes."""
    import numpy as np

    if (at := array.at) is None:
        return []
    positions = range(min(wanted, array.size))
    return [at(tuple(int(n) for n in np.unravel_index(position, array.shape))) for position in positions]


def said(array: Array, look: Look) -> list[str]:
    """Say what can be said of all values at once."""
    if array.values is None or not array.size or not array.shape:
        return []
    huge = array.size > _HUGE
    values = _spread(array.values, _SAMPLED) if huge else array.values
    about = _measured(values, look) if extent.is_measured(values) else _counted(array, values, look)
    return [f"of {count(_SAMPLED)} evenly spread values: {about}" if huge else about]


def _measured(values: Any, look: Look) -> str:
    import numpy as np

    whole = extent.of_array(values)
    total = int(values.size) - _masked(values)
    parts = [
        f"{'NaT' if values.dtype.kind in 'mM' else 'NaN'} {count(whole.missing)} ({percent(whole.missing, total)})"
    ]
    parts = parts if whole.missing else []
    if whole.least is not None and values.dtype.kind == "b":
        true = sum(int(np.count_nonzero(part)) for part in extent.parts(values))
        return ", ".join([*parts, f"True {count(true)}, False {count(total - true)}"])
    if whole.least is not None:
        parts.insert(0, f"range {ranged(whole.least, whole.greatest, look)}")
    if values.dtype.kind in "iuf" and whole.least is not None:
        infinite, mean = _mean(values, total - whole.missing)
        parts += [f"infinite {count(infinite)}"] * bool(infinite) + [f"mean {number(mean)}"] * (mean is not None)
    return ", ".join(parts)


def _mean(values: Any, present: int) -> tuple[int, float | None]:
    """Count infinite values; give the mean of the others."""
    import numpy as np

    total, infinite = 0.0, 0
    for part in extent.parts(values):
        finite = np.isfinite(part)
        solid = part if finite.all() else part[finite]
        infinite += int(np.count_nonzero(np.isinf(part))) if len(solid) < len(part) else 0
        total += float(np.add.reduce(solid, dtype="float64"))
    return infinite, total / (present - infinite) if present > infinite else None


def _counted(array: Array, values: Any, look: Look) -> str:
    """Say of texts, objects and complex numbers how many are distinct, and which are the commonest."""
    found = _spread(values, _SAMPLED)
    listed = list(found) if found.dtype.kind == "V" else list(found.tolist())
    summary = summarise(listed, array.size, None, look)
    return f"nulls {summary.nulls}, distinct {summary.distinct}: {summary.values}"


def _spread(values: Any, wanted: int) -> Any:
    """Take evenly spread values; all where there are no more."""
    import numpy as np

    if values.size <= wanted:
        return values.reshape(-1)
    return values.flat[np.asarray(spread(int(values.size), wanted))]


def _torch(obj: Any) -> Array:
    facts = [f"on {obj.device}", *(["requires grad"] if obj.requires_grad else [])]
    if (layout := str(getattr(obj, "layout", "torch.strided"))) != "torch.strided":
        return _lazy(obj, f"torch {type(obj).__name__}", *facts, layout)
    dense = obj.detach()
    values = attempt(lambda: _host(dense))
    size = attempt(lambda: int(dense.numel() * dense.element_size()))
    return Array(
        f"torch {type(obj).__name__}",
        str(obj.dtype),
        tuple(map(int, obj.shape)),
        (*facts, *([] if size is None else [f"{count(size)} bytes"])),
        values,
        lambda index: dense[index].item(),
    )


def _host(dense: Any) -> Any:
    """View a tensor as an array of numpy; one elsewhere, or of a type numpy has not, is copied if small."""
    if dense.device.type == "cpu":
        view = attempt(dense.numpy)
        if view is not None:
            return view
    return dense.float().cpu().numpy() if dense.numel() <= _FETCHED else None


def _tensor(obj: Any) -> Array:
    import numpy as np

    title = f"{type(obj).__module__.partition('.')[0]} {type(obj).__name__}"
    values = attempt(lambda: np.asarray(obj)) if math.prod(obj.shape) <= _HUGE else None
    if values is None:
        return _lazy(obj, title)
    read = of_numpy(values, title)
    return Array(title, str(obj.dtype), read.shape, read.facts, values, read.at)


def _lazy(obj: Any, title: str, *facts: str) -> Array:
    shape = tuple(int(size) if size == size else 0 for size in obj.shape)  # noqa: PLR0124  # dask does not know some
    return Array(title, str(obj.dtype), shape, facts)


def withheld(array: Array, look: Look) -> bool:
    """Whether its values, or those of one of its columns, are those of a private column of a table."""
    values = array.values
    if values is None or not array.size:
        return False
    vectors: Sequence[Any] = [values]
    if len(array.shape) == 2 and array.shape[1] <= _CHECKED_COLUMNS:  # noqa: PLR2004  # rows and columns
        vectors = [values, *(values[:, n] for n in range(array.shape[1]))]
    return any(look.guard.holds(list(_spread(vector, _CHECKED).tolist())) for vector in vectors)
