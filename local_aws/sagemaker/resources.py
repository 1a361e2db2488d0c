"""What SageMaker's resources share: ARNs, pages of lists, members of answers, log files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.errors import invalid
from local_aws.service_models import service_model

Action = Callable[[dict[str, Any]], dict[str, Any]]

_DEFAULT_PAGE = 10


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def arn_of(context: Context, kind: str, name: str) -> str:
    """An ARN, in which SageMaker writes names in lower case."""
    return f"arn:aws:sagemaker:{context.region}:{context.account_id}:{kind}/{name.lower()}"


def select_members(operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The `values` that the answer to `operation` has members for."""
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
