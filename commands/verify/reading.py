"""The checks that only look: at what is deployed, and at what AWS recorded of it."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from commands import preflight
from commands.findings import Finding, State, judged
from commands.verify.deployed import Deployed
from contract.names import API_STAGE, APP_NAME, VARIANT
from contract.outputs import TOPIC_ARN
from stage.instance_types import is_gpu

Findings = Iterator[Finding]
# A namespace, a name, and its dimensions in order.
Metric = tuple[str, str, tuple[tuple[str, str], ...]]

# The most that a bake may take, and that a state machine's history may hold.
_BAKE_MINUTES, _MAX_EVENTS = 50, 25_000


def stacks(d: Deployed) -> Findings:
    """Whether AWS accepted every stack."""
    for part in d.settings.stacks:
        name = d.settings.names.stack(part)
        status = (d.target.find_stack(name) or {}).get("StackStatus", "not deployed")
        yield judged(name, status, ok=status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"))


def quotas(d: Deployed) -> Findings:
    """Whether the quotas allow what the stage asks for, an update included."""
    yield from preflight.quotas(d.settings, d.client)


def weights(d: Deployed) -> Findings:
    """Whether JumpStart's bucket holds the model as the bake looks for it."""
    yield from preflight.weights(d.settings, d.client)


def permissions(d: Deployed) -> Findings:
    """Whether each grant of each role takes effect, in spite of boundaries and the organisation.

    IAM simulates no wildcards in actions, and leaves out the policies of buckets and keys.
    """
    iam = d.client("iam")
    for role in d.resources.get("AWS::IAM::Role", []):
        arn = iam.get_role(RoleName=role)["Role"]["Arn"]
        allowed, untried, denied = 0, 0, set()
        for policy in d.listed("iam", "list_role_policies", "PolicyNames", RoleName=role):
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            for statement in _list(document["Statement"]):
                if statement["Effect"] != "Allow" or "Action" not in statement:
                    continue
                actions = [each for each in _list(statement["Action"]) if "*" not in each]
                untried += len(_list(statement["Action"])) - len(actions)
                request = {"PolicySourceArn": arn, "ActionNames": actions, **_scope(statement)}
                for result in (
                    d.listed("iam", "simulate_principal_policy", "EvaluationResults", **request)
                    if actions
                    else ()
                ):
                    if result["EvalDecision"] == "allowed":
                        allowed += 1
                    elif result.get("MissingContextValues"):
                        untried += 1
                    else:
                        denied.add(f"{result['EvalActionName']} ({result['EvalDecision']})")
        found = f"{allowed} allowed, {untried} not to be simulated"
        found += f", denied: {', '.join(sorted(denied))}" if denied else ""
        state: State = "failed" if denied else "ok" if allowed else "unknown"
        yield Finding(role, state, found)


def _scope(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Resources that the statement covers, and a context that meets its conditions."""
    named = [r.replace("*", "x") for r in _list(statement.get("Resource", "*")) if r != "*"]
    context = [
        {
            "ContextKeyName": key,
            "ContextKeyType": "boolean" if "Bool" in operator else "string",
            "ContextKeyValues": [str(_list(value)[0]).replace("*", "x")],
        }
        for operator, block in statement.get("Condition", {}).items()
        for key, value in block.items()
    ]
    return {"ResourceArns": named or ["*"], "ContextEntries": context}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def images(d: Deployed) -> Findings:
    """Whether each endpoint is in service with the locked image, as SageMaker pulled it."""
    for name, endpoint in d.endpoints.items():
        described = d.client("sagemaker").describe_endpoint(EndpointName=name)
        found = {
            image.get("SpecifiedImage", ""): image.get("ResolvedImage", "").rpartition("@")[2]
            for variant in described.get("ProductionVariants", [])
            for image in variant.get("DeployedImages", [])
        }
        status = described["EndpointStatus"]
        pulled = ", ".join(f"{image} {digest}".strip() for image, digest in found.items())
        wanted = d.settings.lock.image_uri(d.settings.region, gpu=is_gpu(endpoint.instance_type))
        ok = status == "InService" and list(found) == [wanted]
        yield judged(name, f"{status}, {pulled}", f"It should have {wanted}.", ok=ok)


def bake(d: Deployed) -> Findings:
    """Whether the training job of what is deployed ran, in the locked image and isolated."""
    sagemaker = d.client("sagemaker")
    wanted = f"{d.settings.names.prefix}-{d.deployment.bake_id[:12]}"
    newest: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 1}
    listed = sagemaker.list_training_jobs(NameContains=wanted, **newest)["TrainingJobSummaries"]
    if not listed:
        yield Finding(wanted, "unknown", "no training job of this bake is listed")
    for name in (each["TrainingJobName"] for each in listed):
        job = sagemaker.describe_training_job(TrainingJobName=name)
        status, instance_type = job["TrainingJobStatus"], job["ResourceConfig"]["InstanceType"]
        image, isolated = (
            job["AlgorithmSpecification"].get("TrainingImage"),
            job.get("EnableNetworkIsolation", False),
        )
        yield judged(
            name,
            f"{status} on {instance_type}, {job.get('BillableTimeInSeconds')} s billed, {image},"
            f" {'isolated' if isolated else 'not isolated'}",
            "The job's log says why.",
            ok=status == "Completed"
            and isolated
            and image == d.settings.lock.image_uri(d.settings.region, gpu=is_gpu(instance_type)),
        )


def history(d: Deployed) -> Findings:
    """Whether the longest bake stays below what a state machine's history may hold."""
    states, name = d.client("stepfunctions"), d.settings.names.bake_workflow
    arns = d.resources.get("AWS::StepFunctions::StateMachine", [])
    (arn,) = [each for each in arns if each.endswith(f":{name}")]
    rates = []
    for run in states.list_executions(stateMachineArn=arn, maxResults=10)["executions"]:
        if "stopDate" in run:
            last = states.get_execution_history(
                executionArn=run["executionArn"], reverseOrder=True, maxResults=1
            )["events"][0]["id"]
            rates.append(last / max(1, (run["stopDate"] - run["startDate"]).total_seconds() / 60))
    if not rates:
        yield Finding(name, "unknown", "no bake has run")
        return
    most = max(rates) * _BAKE_MINUTES
    yield judged(name, f"{most:,.0f} events in {_BAKE_MINUTES} minutes", ok=most < _MAX_EVENTS)


def device(d: Deployed) -> Findings:
    """Whether each endpoint runs on what its instance type has, and serves what is deployed."""
    for name, endpoint in d.endpoints.items():
        (found, _), bake_id = d.ask(name, {"mode": "info"}), d.deployment.bake_id
        wanted = "cuda" if is_gpu(endpoint.instance_type) else "cpu"
        yield judged(
            name,
            f"{endpoint.instance_type}: {found['device']}, {found['runtime']}, bake"
            f" {found['bake_id']}",
            f"It should run on {wanted} and serve bake {bake_id}.",
            ok=found["device"].startswith(wanted) and found["bake_id"] == bake_id,
        )


_MOMENTS = {
    # A moment later the workers have opened the artifact around it.
    "loaded": "Encoder process ready",
    "up": "Model server started",
    "healthy": r'"GET /ping HTTP/1\.\d" 200',
}


def ping(d: Deployed) -> Findings:
    """Whether an instance says that it is healthy only once it can answer."""
    for name in d.endpoints:
        group = f"/aws/sagemaker/Endpoints/{name}"
        events, at = [], dict[str, float]()
        if stream := d.newest_stream(group):
            events = d.client("logs").get_log_events(
                logGroupName=group, logStreamName=stream, startFromHead=True, limit=10_000
            )["events"]
        for event in events:
            for what, pattern in _MOMENTS.items():
                if re.search(pattern, event["message"]):
                    at.setdefault(what, (event["timestamp"] - events[0]["timestamp"]) / 1000)
        found = ", ".join(f"{what} after {seconds:.1f} s" for what, seconds in at.items())
        if {"loaded", "healthy"} <= at.keys():
            remedy = "Traffic reaches instances that cannot answer yet."
            yield judged(name, found, remedy, ok=at["loaded"] <= at["healthy"])
        else:
            yield Finding(name, "unknown", f"its log lacks a moment; it has: {found or 'none'}")


def metrics(d: Deployed) -> Findings:
    """Whether what the alarms look at is published, with exactly their dimensions."""
    for namespace, name, dimensions in sorted({m for a in d.alarms for m in _watched(a)}):
        wanted = [{"Name": key, "Value": value} for key, value in dimensions]
        request = {"Namespace": namespace, "MetricName": name, "Dimensions": wanted}
        found = d.listed("cloudwatch", "list_metrics", "Metrics", **request)
        seen = any(len(each["Dimensions"]) == len(wanted) for each in found)
        subject = f"{namespace} {name} by {', '.join(key for key, _ in dimensions)}"
        # The probe sees to it that an endpoint has requests; other metrics wait for their event.
        if seen or "EndpointName" in dict(dimensions):
            yield judged(subject, "seen" if seen else "not published", ok=seen)
        else:
            yield Finding(subject, "unknown", "not published yet")
    jobs, host = "/aws/sagemaker/TrainingJobs", [{"Name": "Host"}]
    found = d.listed("cloudwatch", "list_metrics", "Metrics", Namespace=jobs, Dimensions=host)
    own = f"{d.settings.names.prefix}-"
    seen = any(part["Value"].startswith(own) for each in found for part in each["Dimensions"])
    # CloudWatch lists what was published in the last two weeks.
    yield Finding(jobs, "ok" if seen else "unknown", "seen" if seen else "not published lately")


def _watched(alarm: Mapping[str, Any]) -> Iterator[Metric]:
    parts = [
        part["MetricStat"]["Metric"] for part in alarm.get("Metrics", ()) if "MetricStat" in part
    ]
    for metric in parts or [alarm]:
        dimensions = sorted((each["Name"], each["Value"]) for each in metric["Dimensions"])
        yield metric["Namespace"], metric["MetricName"], tuple(dimensions)


def alarms(d: Deployed) -> Findings:
    """Whether no alarm is on, and each was evaluated."""
    states = [alarm["StateValue"] for alarm in d.alarms]
    for alarm in d.alarms:
        if alarm["StateValue"] == "INSUFFICIENT_DATA":
            yield Finding(alarm["AlarmName"], "unknown", "not evaluated yet")
        elif alarm["StateValue"] == "ALARM":
            yield Finding(alarm["AlarmName"], "failed", "in ALARM")
    yield judged("all", f"{states.count('OK')} of {len(states)} are OK", ok=bool(states))


def notifications(d: Deployed) -> Findings:
    """Whether every subscription of the stage's topic is confirmed."""
    topic = d.output("Foundation", TOPIC_ARN)
    found = d.listed("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    states = [each["SubscriptionArn"] for each in found]
    pending = states.count("PendingConfirmation")
    counted = f"{len(states)} subscriptions, {pending} of them not confirmed"
    state: State = "failed" if pending else "ok" if states else "unknown"
    yield Finding("topic", state, counted)


def logs(d: Deployed) -> Findings:
    """Whether the API's access log and its traces are delivered."""
    (api,) = d.resources["AWS::ApiGateway::RestApi"]
    stage = d.client("apigateway").get_stage(restApiId=api, stageName=API_STAGE)
    group = stage["accessLogSettings"]["destinationArn"].rpartition(":log-group:")[2]
    delivered = d.newest_stream(group.removesuffix(":*")) is not None
    yield judged("access log", "delivered" if delivered else "empty", ok=delivered)
    now = datetime.now(UTC)
    traces = d.client("xray").get_trace_summaries(
        StartTime=now - timedelta(hours=6),
        EndTime=now,
        FilterExpression=f'service("{d.settings.names.prefix}/{API_STAGE}")',
    )["TraceSummaries"]
    yield judged("traces", f"{len(traces)} or more in six hours", ok=bool(traces))


# The log events that say how long starts took.
STARTS_FILTER = '?"Init Duration" ?"Restore Duration"'


def init_seconds(lines: Iterable[str]) -> list[float]:
    """The durations of cold starts, or of restores, in Lambda's REPORT lines.

    The import for a snapshot, which nobody waits for, has a line of another kind.
    """
    found = (
        re.search(r"^REPORT .*?(?:Init|Restore) Duration: ([\d.]+) ms", line) for line in lines
    )
    return [float(match[1]) / 1000 for match in found if match]


def cold_start(d: Deployed) -> Findings:
    """How long the front door takes to start, by Lambda's own reports."""
    name = d.settings.names.front_door_function
    function = d.client("lambda").get_function_configuration(FunctionName=name)
    week_ago = datetime.now(UTC) - timedelta(days=7)
    events = d.listed(
        "logs",
        "filter_log_events",
        "events",
        logGroupName=function["LoggingConfig"]["LogGroup"],
        filterPattern=STARTS_FILTER,
        startTime=int(week_ago.timestamp() * 1000),
    )
    times = [seconds * 1000 for seconds in init_seconds(each["message"] for each in events)]
    if not times:
        yield Finding(name, "unknown", "no cold start was reported in seven days")
        return
    found = f"{len(times)}, median {statistics.median(times):.0f} ms, most {max(times):.0f} ms"
    # Lambda ends an initialisation after ten seconds and begins again.
    yield judged(name, found, ok=max(times) < 10_000)


def answers(d: Deployed) -> Findings:
    """Whether the API answers a question, from each endpoint."""
    with d.api.connect() as client:
        for wanted in (endpoint.instance_type for endpoint in d.settings.endpoints):
            answer = client.search(["What is batch transform?"], top_k=1, instance_type=wanted)
            by, times = answer.served_by.instance_type, answer.timing.items()
            found = f"served by {by}, {', '.join(f'{part} {ms:.0f} ms' for part, ms in times)}"
            yield judged(wanted, found, ok=by == wanted and bool(answer.results[0]))


def signatures(d: Deployed) -> Findings:
    """Whether API Gateway accepts the client's signature."""
    if d.api.auth != "iam":
        yield Finding("signature", "unknown", f"this stage asks for auth {d.api.auth}")
        return
    with d.api.connect() as client:
        client.endpoints()
    yield Finding("signature", "ok", "accepted")


_JSON = {"content-type": "application/json"}
_UNSIGNED, _KEY = False, True
_REFUSED: tuple[tuple[str, str, dict[str, str], bytes, bool], ...] = (
    ("GET", "/health", {}, b"", _UNSIGNED),
    ("GET", "/health", {"x-api-key": "wrong"}, b"", _UNSIGNED),
    ("GET", "/health", {"authorization": "AWS4-HMAC-SHA256"}, b"", _UNSIGNED),
    ("GET", "/nowhere", {}, b"", _UNSIGNED),
    ("PATCH", "/search", {}, b"", _UNSIGNED),
    ("POST", "/search", {"content-type": "text/csv"}, b"a,b", _KEY),
    ("POST", "/search", _JSON, b"{", _KEY),
    # Beyond what Lambda takes, and beyond what API Gateway takes.
    ("POST", "/search", _JSON, b'"' + b"x" * 7_000_000, _KEY),
    ("POST", "/search", _JSON, b'"' + b"x" * 11_000_000, _KEY),
)


def refusals(d: Deployed) -> Findings:
    """Whether every refusal is JSON with a code, whichever service refuses."""
    for method, path, headers, body, signed in _REFUSED:
        sent = ", ".join([*headers.values(), f"{len(body):,} bytes"])
        subject = f"{method} {path} ({sent}{', key' if signed else ''})"
        if signed and d.api.api_key is None:
            yield Finding(subject, "unknown", "not tried where requests are signed")
            continue
        key = {"x-api-key": d.api.api_key} if signed and d.api.api_key else {}
        status, content = _send(d.api.url + path, method, {**headers, **key}, body)
        try:
            code = json.loads(content)["code"]
        except (ValueError, KeyError, TypeError):
            code = None
        found = f"{status} {code or 'without a code'}"
        yield judged(subject, found, ok=400 <= status < 500 and code is not None)


def _send(url: str, method: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=40)
    try:
        connection.request(method, parts.path, body or None, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# Service, operation, the member that names what is missing or refuses, and how the app expects the
# code and the message.
_WORDED = (
    ("sagemaker-runtime", "invoke_endpoint", "EndpointName", "ValidationError: .*not found"),
    ("sagemaker", "describe_model", "ModelName", "ValidationException: .*Could not find model"),
    (
        "sagemaker",
        "describe_training_job",
        "TrainingJobName",
        "ResourceNotFound: |ValidationException: .*not found",
    ),
    (
        "sagemaker",
        "stop_transform_job",
        "TransformJobName",
        "(ResourceNotFound|ResourceNotFoundException|ValidationException): ",
    ),
)


def errors(d: Deployed) -> Findings:
    """Whether SageMaker words its errors as the app reads them."""
    missing = f"{d.settings.names.prefix}-missing"
    asked = [(s, o, {member: missing}, pattern) for s, o, member, pattern in _WORDED]
    refused = {"EndpointName": next(iter(d.endpoints))}
    asked.append((*_WORDED[0][:2], refused, "ModelError 400: .*invalid_request"))
    for service, operation, request, pattern in asked:
        if operation == "invoke_endpoint":
            request |= {"ContentType": "application/json", "Body": '{"mode": "no such mode"}'}
        subject = f"{operation} {request.get('EndpointName', missing)}"
        try:
            getattr(d.client(service), operation)(**request)
        except ClientError as error:
            response: Mapping[str, Any] = error.response
            code, status = response["Error"]["Code"], response.get("OriginalStatusCode", "")
            message = response.get("OriginalMessage") or response["Error"]["Message"]
            found = f"{code} {status}".strip() + f": {message}"
            if "AccessDenied" in code:
                yield Finding(subject, "unknown", code)
            else:
                matches = re.match(pattern, found, re.IGNORECASE | re.DOTALL)
                yield judged(subject, found, f"The app expects: {pattern}", ok=bool(matches))
        else:
            yield Finding(subject, "failed", "no error")


def scaling(d: Deployed) -> Findings:
    """Whether the endpoints that scale have changed their count."""
    for name, endpoint in d.endpoints.items():
        if endpoint.scaling is None:
            yield Finding(name, "unknown", "does not scale")
            continue
        activities = d.client("application-autoscaling").describe_scaling_activities(
            ServiceNamespace="sagemaker", ResourceId=f"endpoint/{name}/variant/{VARIANT}"
        )["ScalingActivities"]
        codes = [each["StatusCode"] for each in activities]
        found = ", ".join(f"{codes.count(code)} {code}" for code in sorted(set(codes)))
        state: State = "failed" if "Failed" in codes else "ok" if codes else "unknown"
        yield Finding(name, state, found or "no instance was added or removed yet")


def tags(d: Deployed) -> Findings:
    """Whether what is paid for carries the stage's tags, and bills can be read by them."""
    wanted = {"application": APP_NAME, "stage": d.settings.stage, **d.settings.tags}
    filters = [{"Key": key, "Values": [value]} for key, value in wanted.items()]
    service, key = "resourcegroupstaggingapi", "ResourceTagMappingList"
    found = list(d.listed(service, "get_resources", key, TagFilters=filters))
    for name in d.endpoints:
        ok = any(each["ResourceARN"].endswith(f":endpoint/{name}") for each in found)
        yield judged(name, f"{'' if ok else 'not '}among {len(found)} tagged resources", ok=ok)
    # Billing has one region.
    active = d.client("ce", "us-east-1").list_cost_allocation_tags(TagKeys=sorted(wanted))
    states = {each["TagKey"]: each["Status"] for each in active["CostAllocationTags"]}
    for key in wanted:
        state, remedy = states.get(key, "unknown"), "Activate it: Billing, Cost allocation tags."
        yield judged(f"{key} in billing", state, remedy, ok=state == "Active")


def prices(d: Deployed) -> Findings:
    """Whether prices.toml agrees with AWS's price list, and retired types are in it no more."""
    from stage.prices import prices_for

    table, settings = prices_for(d.settings).instance_hour, d.settings
    serving = {endpoint.instance_type for endpoint in settings.endpoints}
    for instance_type in sorted({*serving, settings.bake.instance_type}):
        ours, listed = table.get(instance_type), _listed_prices(d, instance_type)
        found = f"{ours} here, {', '.join(map(str, listed)) or 'none'} in {settings.region}"
        remedy = "Correct prices.toml, or the stage's [prices]."
        yield judged(instance_type, found, remedy, ok=listed == [ours])
    for instance_type in sorted(settings.lock.retired_instance_types):
        listed = _listed_prices(d, instance_type)
        found = f"{'still' if listed else 'not'} in AWS's list"
        yield judged(f"{instance_type}, retired", found, ok=not listed)


def _listed_prices(d: Deployed, instance_type: str) -> list[float]:
    """Dollars an hour for hosting, in the stage's region."""
    wanted = {
        "instanceName": instance_type,
        "component": "Hosting",
        "regionCode": d.settings.region,
    }
    # Few regions serve the list, for all.
    answer = d.client("pricing", "us-east-1").get_products(
        ServiceCode="AmazonSageMaker",
        Filters=[{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()],
    )
    terms = [json.loads(each)["terms"].get("OnDemand", {}) for each in answer["PriceList"]]
    dimensions = [
        d for term in terms for each in term.values() for d in each["priceDimensions"].values()
    ]
    return sorted({float(dimension["pricePerUnit"]["USD"]) for dimension in dimensions})
