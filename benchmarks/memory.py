"""How much memory this process has had at most; no part of it is what its parent had, as there is in `getrusage`."""

from __future__ import annotations

import resource
from pathlib import Path

__all__ = ["peak"]

_STATUS = Path("/proc/self/status")


def peak() -> float:
    """Give the peak of the resident set, in MB (10^6 bytes)."""
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
