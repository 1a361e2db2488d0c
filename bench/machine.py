"""Describes the measuring machine: processor, memory, versions; never its name."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from container.machine import available_cpus, total_memory

# Those that decide how fast matrices are multiplied, by Linux's names.
INSTRUCTION_SETS: Final = {
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX512-VNNI",
    "avx512_bf16": "AVX512-BF16",
    "avx512_fp16": "AVX512-FP16",
    "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
    "asimd": "NEON",
    "sve": "SVE",
    "bf16": "BF16 (Arm)",
}
_NATIVE_BF16: Final = ("AVX512-BF16", "AMX-BF16", "BF16 (Arm)")
_VNNI: Final = ("AVX-VNNI", "AVX512-VNNI", "AMX-INT8")
_LIBRARIES: Final = (
    *("numpy", "openvino", "tokenizers", "torch", "transformers", "sentence-transformers"),
    *("fastembed", "onnxruntime", "faiss-cpu"),
)


def describe_machine(reference_python: str | None) -> dict[str, Any]:
    """The machine that measures, and the libraries of `reference_python` or this interpreter."""
    name, flags = parse_cpuinfo(_read("/proc/cpuinfo"))
    return {
        "processor": name or platform.processor() or platform.machine(),
        "instruction sets": instruction_sets(flags),
        "processors": f"{available_cpus()} ({_threads_per_core()})",
        "memory": f"{total_memory() / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "libraries": _versions(reference_python or sys.executable),
    }


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """The first processor's name and flags in Linux's /proc/cpuinfo; empty without one."""
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
    return (name[1].strip() if name else ""), frozenset(flags[1].split() if flags else ())


def instruction_sets(flags: frozenset[str]) -> list[str]:
    """The instruction sets among `flags` that matter here, by their usual names."""
    return [name for flag, name in INSTRUCTION_SETS.items() if flag in flags]


def has_bf16(machine: dict[str, Any]) -> bool:
    """Whether the machine has native bfloat16 products."""
    return any(name in machine["instruction sets"] for name in _NATIVE_BF16)


def has_vnni(machine: dict[str, Any]) -> bool:
    """Whether the machine has products of eight bits that our encoder uses."""
    return any(name in machine["instruction sets"] for name in _VNNI)


def slug(machine: dict[str, Any]) -> str:
    """Processor and count as part of a file's name, such as `amd-epyc-2-cpus`."""
    words = re.sub(r"\((?:r|tm)\)|\bcpu\b|@.*", " ", str(machine["processor"]).lower())
    name = re.sub(r"[^a-z0-9]+", "-", words).strip("-") or "machine"
    return f"{name}-{str(machine['processors']).split()[0]}-cpus"


def _threads_per_core() -> str:
    text = _read("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").strip()
    if not text:
        return "threads per core unknown"
    shared = len(re.split(r"[,-]", text)) > 1
    return "two hardware threads share a core" if shared else "one hardware thread a core"


def _versions(python: str) -> dict[str, str]:
    code = (
        "import sys, json\nfrom importlib import metadata\nfound = {}\n"
        "for name in sys.argv[1:]:\n    try: found[name] = metadata.version(name)\n"
        "    except metadata.PackageNotFoundError: pass\nprint(json.dumps(found))"
    )
    result = subprocess.run(
        [python, "-c", code, *_LIBRARIES], capture_output=True, text=True, check=True
    )
    versions: dict[str, str] = json.loads(result.stdout)
    return versions


def _read(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except OSError:
        return ""
