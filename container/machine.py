"""The processors and memory that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

# AVX512-VNNI, AVX-VNNI and AMX, by Linux's names.
_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8"}


def available_cpus() -> int:
    """The number of processors: this process's affinity, capped by the control group's quota."""
    cpus = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        limit, _, period = quota.read_text().strip().partition(" ")
        if limit != "max" and period:
            cpus = min(cpus, math.ceil(int(limit) / int(period)))
    return max(1, cpus)


def total_memory() -> int:
    """Bytes of memory: the machine's, capped by the control group's limit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file():
        text = limit.read_text().strip()
        if text != "max":
            memory = min(memory, int(text))
    return memory


def has_int8_products(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies numbers of eight bits and adds them in 32."""
    try:
        lines = cpuinfo.read_text("utf-8").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _INT8.isdisjoint(flags.split())
