"""What an instance type's name says: its processor, its cores and its disks.

Disks: rules as the SageMaker SDK has them (volume_size_supported in sagemaker_core's
common_utils).
"""

from __future__ import annotations

import re

_GPU = re.compile(r"[gp]\d")
_SIZE = re.compile(r"ml\.[^.]+\.(\d*)xlarge")
_BF16_CPU = 7
# VNNI: Intel's processors of the sixth generation (c6i), and all but AWS's own from the seventh.
_INT8_CPU = re.compile(r"[a-z]+6i.*|[a-z]+([7-9]|\d\d)(?!g).*")
_BF16_GPU = {"g": 5, "p": 4}
_LOCAL_STORAGE = ("g5", "g6", "g7e", "p5", "p6-b200", "trn1", "trn2")


def is_gpu(instance_type: str) -> bool:
    """`ml.g5.2xlarge` -> True."""
    return _GPU.match(_family(instance_type)) is not None


def vcpus(instance_type: str) -> int:
    """`ml.g5.2xlarge` -> 8: an xlarge has four. Raises ValueError for sizes below that."""
    size = _SIZE.fullmatch(instance_type)
    if size is None:
        raise ValueError(f"how many cores {instance_type} has is not known here")
    return 4 * int(size[1] or 1)


def precisions(instance_type: str) -> tuple[str, ...]:
    """What it has instructions for: `ml.c6i.xlarge` -> ("fp32", "int8").

    bfloat16: CPUs from the seventh generation of instances on, GPUs from Ampere (g5, p4) on.
    float16: GPUs. int8: CPUs with VNNI; what we run on GPUs does not use their instructions for it.
    """
    family = _family(instance_type)
    generation = int(re.sub(r"\D*(\d+).*", r"\1", family))
    if not is_gpu(instance_type):
        reduced = [("bf16", generation >= _BF16_CPU), ("int8", _INT8_CPU.fullmatch(family))]
        return ("fp32", *(name for name, able in reduced if able))
    return ("fp32", "bf16", "fp16") if generation >= _BF16_GPU[family[0]] else ("fp32", "fp16")


def has_local_storage(instance_type: str) -> bool:
    """Whether its disks are local NVMe, which take no volume size and no KMS key of ours."""
    family = _family(instance_type)
    return "d" in family or family.startswith(_LOCAL_STORAGE)


def _family(instance_type: str) -> str:
    return instance_type.removeprefix("ml.").partition(".")[0]
