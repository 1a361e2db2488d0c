"""What all kinds of SageMaker resources share: ARNs, pages of lists, members of answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.errors import invalid
from local_aws.service_models import service_model

_DEFAULT_PAGE = 10


def now() -> datetime:
    """The time, as every CreationTime is told."""
    return datetime.now(UTC)


def arn_of(context: Context, kind: str, name: str) -> str:
    """An ARN; SageMaker writes names in lower case there."""
    return f"arn:aws:sagemaker:{context.region}:{context.account_id}:{kind}/{name.lower()}"


def select_members(operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of `values`, those that the answer to `operation` has a member for."""
    members = service_model("sagemaker").operation_model(operation).output_shape.members
    return {name: values[name] for name in members if values.get(name) is not None}


def list_page(
    request: Mapping[str, Any],
    records: Iterable[Mapping[str, Any]],
    *,
    kind: str,
    answer: str,
) -> dict[str, Any]:
    """One page of a list, filtered and sorted as the request says.

    Args:
        request: NameContains, StatusEquals, SortBy (Name, CreationTime or Status), SortOrder,
            CreationTimeAfter and -Before, MaxResults (default 10) and NextToken.
        records: Every resource with `<kind>Name`, `CreationTime` and perhaps `<kind>Status`. Of
            them the answer has what SageMaker's model of the list names.
        kind: "Model", "Endpoint", ...
        answer: Name of the list in the answer, e.g. "Models".

    Raises:
        ApiError: For a NextToken that no answer gave.
    """
    name, status = f"{kind}Name", f"{kind}Status"
    found = [
        record
        for record in records
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
