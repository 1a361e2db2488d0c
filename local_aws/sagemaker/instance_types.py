"""What SageMaker allows for an instance type, by its family."""

from __future__ import annotations

from local_aws.sagemaker.errors import invalid

_NVME_FAMILIES = ("g5", "g6", "g7e", "p5", "p6-b200", "trn1", "trn2")


def has_local_storage(instance_type: str) -> bool:
    """Whether the type has local NVMe storage ("ml.g5.2xlarge"), not EBS ("ml.c6i.xlarge").

    Such a type takes no volume size and no volume key.
    """
    family = instance_type.removeprefix("ml.").split(".")[0]
    return family.startswith(_NVME_FAMILIES) or "d" in family


def check_hosting_volume(instance_type: str, volume_size: int | None, key: str | None) -> None:
    """Refuses a volume size or key for an endpoint on local storage."""
    if not has_local_storage(instance_type):
        return
    for name, value in (("VolumeSizeInGB", volume_size), ("KmsKeyId", key)):
        if value is not None:
            raise invalid(f"{name} is not supported for the instance type {instance_type}.")


def check_training_volume(instance_type: str, volume_size: int | None, key: str | None) -> None:
    """Refuses a volume key on local storage, and a missing volume size without it."""
    check_transform_volume(instance_type, key)
    if volume_size is None and not has_local_storage(instance_type):
        raise invalid(f"VolumeSizeInGB must be specified for the instance type {instance_type}.")


def check_transform_volume(instance_type: str, key: str | None) -> None:
    """Refuses a volume key on local storage."""
    if key is not None and has_local_storage(instance_type):
        raise invalid(
            "VolumeKmsKeyId is not supported for instance types with local storage: "
            f"{instance_type}."
        )
