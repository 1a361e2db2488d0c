"""Helpers of SageMaker's resources: ARNs, errors, lists, instance types, log files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.context import Context
from local_aws.service_errors import ApiError
from local_aws.service_models import service_model

Action = Callable[[dict[str, Any]], dict[str, Any]]

_DEFAULT_PAGE = 10
_NVME_FAMILIES = ("g5", "g6", "g7e", "p5", "p6-b200", "trn1", "trn2")


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def arn_of(context: Context, kind: str, name: str) -> str:
    """An ARN, in which SageMaker writes names in lower case."""
    return f"arn:aws:sagemaker:{context.region}:{context.account_id}:{kind}/{name.lower()}"


def invalid(message: str) -> ApiError:
    """SageMaker's error for nearly all invalid requests."""
    return ApiError(message, "ValidationException")


def not_found(kind: str, arn: str) -> ApiError:
    """For models, endpoint configurations and endpoints; jobs have another error."""
    return invalid(f'Could not find {kind} "{arn}".')


def already_exists(kind: str, arn: str) -> ApiError:
    """For models, endpoint configurations and endpoints; jobs have another error."""
    return invalid(f'Cannot create already existing {kind} "{arn}".')


def select_members(operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that are members of the answer to `operation`."""
    members = service_model("sagemaker").operation_model(operation).output_shape.members
    return {name: values[name] for name in members if values.get(name) is not None}


def list_page(
    request: Mapping[str, Any],
    records: Iterable[Mapping[str, Any]],
    *,
    kind: str,
    answer: str,
) -> dict[str, Any]:
    """One page of a list, filtered and sorted as requested.

    Args:
        request: NameContains, StatusEquals, SortBy (Name, CreationTime or Status), SortOrder,
            CreationTimeAfter and -Before, MaxResults (default 10) and NextToken.
        records: The resources with `<kind>Name`, `CreationTime` and perhaps `<kind>Status`. The
            answer has those members that SageMaker's model names.
        kind: "Model", "Endpoint", ...
        answer: The name of the list in the answer, e.g. "Models".

    Raises:
        ApiError: For an invalid NextToken.
    """
    name, status = f"{kind}Name", f"{kind}Status"
    found = [
        record
        for record in list(records)
        if request.get("NameContains", "").lower() in record[name].lower()
        and request.get("StatusEquals") in {None, record.get(status)}
        and record["CreationTime"].timestamp() > request.get("CreationTimeAfter", float("-inf"))
        and record["CreationTime"].timestamp() < request.get("CreationTimeBefore", float("inf"))
    ]
    key = {"Name": name, "Status": status}.get(request.get("SortBy", ""), "CreationTime")
    found.sort(key=lambda record: record[key], reverse=request.get("SortOrder") != "Ascending")
    token = request.get("NextToken", "0")
    if not token.isdecimal():
        raise invalid("Invalid NextToken.")
    start = int(token)
    end = start + request.get("MaxResults", _DEFAULT_PAGE)
    shape = service_model("sagemaker").operation_model(f"List{kind}s").output_shape
    members = shape.members[answer].member.members
    page: dict[str, Any] = {
        answer: [
            {member: record[member] for member in members if member in record}
            for record in found[start:end]
        ]
    }
    if end < len(found):
        page["NextToken"] = str(end)
    return page


def make_log_folder(folder: Path, kept: int) -> Path:
    """Creates a folder of logs and removes all but the `kept` newest files or folders in it."""
    folder.mkdir(parents=True, exist_ok=True)
    logs = sorted(folder.iterdir(), key=lambda log: log.stat().st_mtime)
    for log in logs[:-kept]:
        if log.is_dir():
            shutil.rmtree(log, ignore_errors=True)
        else:
            log.unlink()
    return folder


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
