"""A deployed stage at work: each part fails where a permission that it needs is missing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from faq_search import calls
from faq_search.api import FaqSearch
from faq_search.batch import Batch
from faq_search.results import BatchState
from tests.end_to_end.local_app import LocalApp

_SECONDS = 120.0  # for a busy machine
_LOG_SECONDS = 3.0
_PREFIX = "FaqSearch-local"
_WORKFLOW = "AWS::StepFunctions::StateMachine"


class NotDoneError(Exception):
    """Something did not work. The message says why, as far as AWS does."""


class Exercise:
    """The parts of an exercise on a stage that is deployed to a local AWS.

    Args:
        app: Of stage `local`.
        folder: For files.
    """

    def __init__(self, app: LocalApp, folder: Path) -> None:
        self._app = app
        self._folder = folder
        self._boto = app.boto

    def parts(self) -> dict[str, Callable[[], None]]:
        """Every part by its name."""
        cold = {
            f"cold start of {name}": (lambda name=name: self._start_cold(name))
            for name in self._functions
        }
        return {
            "search": self.search,
            "health after a cold start": self.health,
            "probe": self.probe,
            "smoke test": self.smoke_test,
            "batch": self.batch,
            "batch stopped at once": self.batch_stopped_at_once,
            "batch stopped in its job": self.batch_stopped_in_its_job,
            "batch stopped before its upload": self.batch_stopped_before_its_upload,
            "bake": self.bake,
            "bake cut short": self.bake_cut_short,
            "rollback": self.rollback,
            "new model": self.new_model,
            "endpoint update": self.endpoint_update,
            "new front door": lambda: self._deploy_again("FrontDoor", "AWS::Lambda::Function"),
            "new bake workflow": lambda: self._deploy_again("Model", _WORKFLOW),
            "new batch workflow": lambda: self._deploy_again("Batch", _WORKFLOW),
            "removal": self.removal,
            **cold,
        }

    # The REST API and what watches it.

    def search(self) -> None:
        """Asks every kind of question; the request must be in the logs."""
        with self._client() as client:
            client.embed(["A text."])
            client.nearest(["A text.", "Another one."], ["Which?"])
            found = client.search(["What is batch transform?"], top_k=1)
        if not found.results[0]:
            raise NotDoneError("no answer")
        self._expect_log(self._log_group("front-door"), found.request_id)
        self._expect_log(self._access_log, found.request_id)

    def health(self) -> None:
        """Asks for the health as the first request to new processes."""
        self._retire("front-door")
        with self._client() as client:
            report = client.health()
        if not report.ok:
            raise NotDoneError(str(report))

    def probe(self) -> None:
        """Probes the endpoints."""
        name = self._functions["Model-Probe"]
        log = self._app.state / f"logs/lambda/{name}.log"
        before = log.stat().st_size if log.exists() else 0
        self._invoke(name, {})
        printed = ""

        def is_whole() -> bool:
            nonlocal printed
            printed = log.read_bytes()[before:].decode()
            return "REPORT RequestId" in printed

        self._until(is_whole)
        if printed.count('"ProbeFailed": 0') < 2 or '"CorpusAgeDays"' not in printed:
            raise NotDoneError(printed)

    def smoke_test(self) -> None:
        """Tests the endpoints as CloudFormation has it done, and finds a wrong bake."""
        with _listener() as answers:
            self._test(self._bake_id, answers).expect("SUCCESS")
            self._test("another", answers).expect("FAILED", "instead of another")

    def rollback(self) -> None:
        """Wants a wrong bake and an absent one of a stack that was rolled back: neither may fail.

        Its status says so until the next update.
        """
        original = json.dumps(self._template("Model"))

        def add_parameter(name: str) -> None:
            template = json.loads(original)
            values = {"Type": "String", "Value": "x", "Name": f"/faq-search/local/{name}"}
            resource = {"Type": "AWS::SSM::Parameter", "Properties": values}
            template["Resources"]["Another"] = resource
            self._update_stack("Model", json.dumps(template))

        with suppress(NotDoneError):
            add_parameter("deployment")  # which exists
        try:
            with _listener() as answers:
                self._test("another", answers).expect("SUCCESS")
                properties = {**self._bake_properties(), "ReuseOnly": "true"}
                self._invoke(self._bake_function, self._event("Update", properties, answers.url))
                answers.expect("SUCCESS")
        finally:
            add_parameter("another")
            self._update_stack("Model", original)

    def _test(self, bake_id: str, answers: _Answers) -> _Answers:
        names, sagemaker = self._endpoints, self._boto("sagemaker")
        properties = {
            "BakeId": bake_id,
            "EndpointNames": names,
            "EndpointConfigNames": [
                sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
                for name in names
            ],
            "Devices": ["cpu"] * len(names),
            "Tolerance": "0.005",
        }
        event = self._event("Create", properties, answers.url)
        self._invoke(self._functions["Model-SmokeTest"], event)
        return answers

    # Batches.

    def batch(self) -> None:
        """Embeds a file that is uploaded, and fetches what became of it."""
        file = self._lines("batch.jsonl", 3, "A text.")
        with self._client() as client:
            batch = client.batch(file, merge=True, instance_count=1)
            state = self._wait(batch, lambda state: state.ended and state.report is not None)
            if state.status != "completed" or state.report is None or not state.report.merged:
                raise NotDoneError(str(state))
            batch.download(self._folder / "embeddings.jsonl")

    def batch_stopped_at_once(self) -> None:
        """Stops a batch of an object before it has a job; its report must say so."""
        bucket = self._resource("Foundation", "StorageBatch")
        key = f"input/{uuid4().hex}.jsonl"
        file = self._lines("object.jsonl", 30_000, "A text that is not short, to be read slowly.")
        with self._client() as client:
            self._boto("s3").upload_file(str(file), bucket, key)
            batch = client.batch(f"s3://{bucket}/{key}")
            if batch.stop().status != "stopping":
                raise NotDoneError("it was not running any more")
            self._wait(batch, lambda state: state.ended and state.report is not None)
        self._stop_batches()

    def batch_stopped_in_its_job(self) -> None:
        """Stops a batch whose job runs."""
        file = self._lines("long.jsonl", 20_000, "A long text about SageMaker. " * 60)
        with self._client() as client:
            batch = client.batch(file)
            self._wait(batch, lambda state: state.status == "transforming")
            try:
                batch.stop()
                self._wait(batch, lambda state: state.ended)
            finally:
                self._stop_batches()

    def batch_stopped_before_its_upload(self) -> None:
        """Stops a batch whose file is not there yet."""
        with self._client() as client:
            answer = client._transport.send(calls.new_batch({"upload": True}))
            if client.find_batch(answer["batch_id"]).stop().status != "stopped":
                raise NotDoneError("it had begun")

    # Bakes.

    def bake(self) -> None:
        """Bakes as CloudFormation has it done, and reuses the bake."""
        properties = self._bake_properties()
        with _listener() as answers:
            self._invoke(self._bake_function, self._event("Create", properties, answers.url))
            answers.expect("SUCCESS")
            self._invoke(self._bake_function, self._event("Update", properties, answers.url))
            answers.expect("SUCCESS")

    def bake_cut_short(self) -> None:
        """Deletes what is being baked: its job ends, and CloudFormation gets its answer."""
        properties = self._bake_properties()
        with _listener() as creation, _listener() as deletion:
            self._invoke(self._bake_function, self._event("Create", properties, creation.url))
            try:
                job = f"faq-search-local-{properties['BakeId'][:12]}-1"
                self._until(lambda: self._job_status(job) is not None or creation.received)
                if creation.received:
                    creation.expect("nothing yet")
                event = self._event("Delete", properties, deletion.url)
                self._invoke(
                    self._bake_function, {**event, "PhysicalResourceId": properties["BakeId"]}
                )
                deletion.expect("SUCCESS")
                creation.expect("FAILED", "was aborted")
                if self._job_status(job) not in ("Stopping", "Stopped"):
                    raise NotDoneError(f"{job} is {self._job_status(job)}")
            finally:
                self._stop_bakes()

    def new_model(self) -> None:
        """Creates a Model like a deployed one: SageMaker looks at its image and its data."""
        sagemaker = self._boto("sagemaker")
        models = sagemaker.list_models(NameContains="faqsearch-local-")["Models"]
        name = models[0]["ModelName"]
        model = sagemaker.describe_model(ModelName=name)
        copy = f"copy-{uuid4().hex}"
        sagemaker.create_model(
            ModelName=copy,
            PrimaryContainer=model["PrimaryContainer"],
            ExecutionRoleArn=model["ExecutionRoleArn"],
        )
        sagemaker.delete_model(ModelName=copy)

    def endpoint_update(self) -> None:
        """Updates an endpoint to a copy of its configuration, watched by its alarms, and back."""
        sagemaker = self._boto("sagemaker")
        name = self._endpoints[0]
        before = sagemaker.describe_endpoint(EndpointName=name)
        if "-copy-" in before["EndpointConfigName"]:
            raise NotDoneError("the last one was not taken back")
        described = sagemaker.describe_endpoint_config(
            EndpointConfigName=before["EndpointConfigName"]
        )
        kept = {k: described[k] for k in ("ProductionVariants", "KmsKeyId") if k in described}
        copy = f"{name}-copy-{uuid4().hex[:8]}"
        sagemaker.create_endpoint_config(EndpointConfigName=copy, **kept)
        self._update_endpoint(name, copy, before["LastDeploymentConfig"])
        self._update_endpoint(name, before["EndpointConfigName"], before["LastDeploymentConfig"])
        sagemaker.delete_endpoint_config(EndpointConfigName=copy)

    # What only a deployment does.

    def removal(self) -> None:
        """Creates a Foundation stack of its own, fills its buckets, and deletes it."""
        cloudformation, s3 = self._boto("cloudformation"), self._boto("s3")
        name = f"{_PREFIX}-Foundation2"
        self._delete_stack(name)  # what an earlier attempt left
        template = self._template("Foundation")
        for output in template["Outputs"].values():
            output.pop("Export", None)
        (original,) = cloudformation.describe_stacks(StackName=f"{_PREFIX}-Foundation")["Stacks"]
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            RoleARN=original["RoleARN"],
        )
        self._settle(name, "CREATE_COMPLETE")
        bucket = self._resource("Foundation2", "StorageBatch")
        s3.put_object(Bucket=bucket, Key="output/left", Body=b"left")
        s3.create_multipart_upload(Bucket=bucket, Key="output/unfinished")
        self._delete_stack(name)

    def _deploy_again(self, part: str, resource_type: str) -> None:
        """Adds a second one of each resource of a type to a stack, and removes them again."""
        template = self._template(part)
        original = json.dumps(template)
        for name, resource in list(template["Resources"].items()):
            if resource["Type"] == resource_type:
                copy = json.loads(json.dumps(resource))
                copy["Properties"].pop("FunctionName", None)
                if "StateMachineName" in copy["Properties"]:
                    copy["Properties"]["StateMachineName"] += "-again"
                template["Resources"][f"{name}Again"] = copy
        try:
            self._update_stack(part, json.dumps(template))
        finally:
            with suppress(NotDoneError):
                self._update_stack(part, original)

    # How the parts do it.

    def _client(self) -> FaqSearch:
        api = self._app.api
        return FaqSearch(api["url"], api_key=api["api_key"], retries=0)

    @cached_property
    def _functions(self) -> dict[str, str]:
        """Full names by a part of each."""
        listed = self._boto("lambda").list_functions()["Functions"]
        found = [f["FunctionName"] for f in listed if "-local-" in f["FunctionName"]]
        parts = (
            *("front-door", "FrontDoor-BatchFunction", "Batch-Steps", "Model-BakeBakeResource"),
            *("FrontDoor-ConsoleFunction", "FrontDoor-ApiKeyAuthorizer", "Model-Probe"),
            *("Model-SmokeTest", "EmptyBuckets"),
        )
        return {part: next(name for name in found if part in name) for part in parts}

    @property
    def _endpoints(self) -> list[str]:
        listed = self._boto("sagemaker").list_endpoints(NameContains="faq-search-local-")
        return [str(each["EndpointName"]) for each in listed["Endpoints"]]

    @property
    def _bake_function(self) -> str:
        return self._functions["Model-BakeBakeResource"]

    @property
    def _bake_id(self) -> str:
        value = self._boto("ssm").get_parameter(Name="/faq-search/local/deployment")
        return str(json.loads(value["Parameter"]["Value"])["bake_id"])

    @cached_property
    def _access_log(self) -> str:
        gateway = self._boto("apigateway")
        apis = gateway.get_rest_apis()["items"]
        (api,) = (each["id"] for each in apis if each["name"] == "faq-search-local")
        (stage,) = gateway.get_stages(restApiId=api)["item"]
        return str(stage["accessLogSettings"]["destinationArn"].split(":log-group:")[1])

    @cached_property
    def _last_bake(self) -> dict[str, Any]:
        """The event with which CloudFormation asked for the last bake."""
        states = self._boto("stepfunctions")
        (machine,) = (
            each["stateMachineArn"]
            for each in states.list_state_machines()["stateMachines"]
            if each["name"] == "faq-search-local-bake"
        )
        newest = states.list_executions(stateMachineArn=machine)["executions"][0]
        execution = states.describe_execution(executionArn=newest["executionArn"])
        event: dict[str, Any] = json.loads(execution["input"])["event"]
        return event

    def _bake_properties(self) -> dict[str, Any]:
        """The properties of the last bake, as another one."""
        properties = self._last_bake["ResourceProperties"]
        bake_id = uuid4().hex * 2
        text = json.dumps(properties).replace(properties["BakeId"], bake_id)
        changed: dict[str, Any] = json.loads(text)
        return changed

    def _event(self, kind: str, properties: dict[str, Any], url: str) -> dict[str, Any]:
        return {
            **self._last_bake,
            "RequestType": kind,
            "RequestId": uuid4().hex,
            "ResponseURL": url,
            "ResourceProperties": properties,
        }

    def _invoke(self, function: str, event: dict[str, Any]) -> None:
        """Raises NotDoneError if the function did."""
        answer = self._boto("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        if "FunctionError" in answer:
            raise NotDoneError(answer["Payload"].read().decode())

    def _start_cold(self, part: str) -> None:
        """Starts a function anew: whatever comes of it, the log must have the request."""
        self._retire(part)
        began = time.time()
        self._boto("lambda").invoke(FunctionName=self._functions[part], Payload=b"{}")
        self._expect_log(self._log_group(part), "START RequestId", began)

    def _retire(self, part: str) -> None:
        """Changes a function's memory, so that its processes are replaced.

        Also those of the version that the API calls, if there is one.
        """
        client, name = self._boto("lambda"), self._functions[part]
        size = client.get_function_configuration(FunctionName=name)["MemorySize"]
        client.update_function_configuration(FunctionName=name, MemorySize=size + 1)
        if len(client.list_versions_by_function(FunctionName=name)["Versions"]) > 1:
            version = client.publish_version(FunctionName=name)["Version"]
            client.update_alias(FunctionName=name, Name="live", FunctionVersion=version)

    def _log_group(self, part: str) -> str:
        configuration = self._boto("lambda").get_function_configuration(
            FunctionName=self._functions[part]
        )
        return str(configuration["LoggingConfig"]["LogGroup"])

    def _expect_log(self, group: str, text: str, since: float = 0) -> None:
        deadline = time.monotonic() + _LOG_SECONDS
        start = int((since or time.time() - 60) * 1000)
        while True:
            events = self._boto("logs").filter_log_events(logGroupName=group, startTime=start)
            if any(text in each["message"] for each in events["events"]):
                return
            if time.monotonic() > deadline:
                raise NotDoneError(f"{group} has no line with {text}")
            time.sleep(0.1)

    def _lines(self, name: str, count: int, text: str) -> Path:
        file = self._folder / name
        if not file.exists():
            line = json.dumps({"id": 0, "text_inputs": text}) + "\n"
            file.write_text(line * count)
        return file

    def _wait(self, batch: Batch, done: Callable[[BatchState], bool]) -> BatchState:
        deadline = time.monotonic() + _SECONDS / 2
        while not done(state := batch.state()):
            if time.monotonic() > deadline or (state.ended and state.status == "failed"):
                raise NotDoneError(str(state))
            time.sleep(0.2)
        return state

    def _stop_batches(self) -> None:
        self._stop_executions("faq-search-local-batch")
        sagemaker = self._boto("sagemaker")
        running = sagemaker.list_transform_jobs(StatusEquals="InProgress")
        for job in running["TransformJobSummaries"]:
            with suppress(Exception):
                sagemaker.stop_transform_job(TransformJobName=job["TransformJobName"])
        self._until(
            lambda: (
                not sagemaker.list_transform_jobs(StatusEquals="Stopping")["TransformJobSummaries"]
            )
        )

    def _stop_bakes(self) -> None:
        self._stop_executions("faq-search-local-bake")
        sagemaker = self._boto("sagemaker")
        running = sagemaker.list_training_jobs(StatusEquals="InProgress")
        for job in running["TrainingJobSummaries"]:
            with suppress(Exception):
                sagemaker.stop_training_job(TrainingJobName=job["TrainingJobName"])

    def _stop_executions(self, workflow: str) -> None:
        states = self._boto("stepfunctions")
        for machine in states.list_state_machines()["stateMachines"]:
            if machine["name"] == workflow:
                arn = machine["stateMachineArn"]
                running = states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")
                for execution in running["executions"]:
                    states.stop_execution(executionArn=execution["executionArn"])

    def _job_status(self, name: str) -> str | None:
        jobs = self._boto("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
        return next(
            (str(j["TrainingJobStatus"]) for j in jobs if j["TrainingJobName"] == name), None
        )

    def _update_endpoint(self, name: str, configuration: str, how: dict[str, Any]) -> None:
        sagemaker = self._boto("sagemaker")
        sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=configuration, DeploymentConfig=how
        )
        described: dict[str, Any] = {}

        def settled() -> bool:
            described.update(sagemaker.describe_endpoint(EndpointName=name))
            return bool(described["EndpointStatus"] == "InService")

        self._until(settled)
        if described["EndpointConfigName"] != configuration:
            raise NotDoneError(described.get("FailureReason", "rolled back"))

    def _template(self, part: str) -> dict[str, Any]:
        found = self._boto("cloudformation").get_template(StackName=f"{_PREFIX}-{part}")
        body = found["TemplateBody"]
        template: dict[str, Any] = json.loads(body) if isinstance(body, str) else dict(body)
        return template

    def _resource(self, part: str, beginning: str) -> str:
        """The physical id of the bucket whose logical id begins so."""
        found = self._boto("cloudformation").describe_stack_resources(
            StackName=f"{_PREFIX}-{part}"
        )["StackResources"]
        return next(
            str(each["PhysicalResourceId"])
            for each in found
            if each["LogicalResourceId"].startswith(beginning)
            and each["ResourceType"] == "AWS::S3::Bucket"
        )

    def _update_stack(self, part: str, body: str) -> None:
        cloudformation, name = self._boto("cloudformation"), f"{_PREFIX}-{part}"
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        parameters = [
            {"ParameterKey": each["ParameterKey"], "UsePreviousValue": True}
            for each in stack.get("Parameters", [])
        ]
        try:
            cloudformation.update_stack(
                StackName=name,
                TemplateBody=body,
                Parameters=parameters,
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            )
        except Exception as error:
            raise NotDoneError(str(error)) from error
        self._settle(name, "UPDATE_COMPLETE")

    def _delete_stack(self, name: str) -> None:
        cloudformation = self._boto("cloudformation")
        stacks = cloudformation.describe_stacks()["Stacks"]
        if any(stack["StackName"] == name for stack in stacks):
            cloudformation.delete_stack(StackName=name)
            self._settle(name, "DELETE_COMPLETE")

    def _settle(self, name: str, wanted: str) -> None:
        """Waits until CloudFormation has finished; raises NotDoneError unless as wanted."""
        cloudformation = self._boto("cloudformation")

        def find() -> dict[str, Any]:
            stacks = cloudformation.describe_stacks()["Stacks"]
            return next((s for s in stacks if s["StackName"] == name), {})

        self._until(lambda: not find().get("StackStatus", "").endswith("IN_PROGRESS"))
        status = find().get("StackStatus", "DELETE_COMPLETE")
        if status != wanted:
            events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
            reasons = [
                each["ResourceStatusReason"]
                for each in events
                if each["ResourceStatus"].endswith("FAILED") and "ResourceStatusReason" in each
            ]
            raise NotDoneError(f"{status}: {' '.join(reasons[:5])}")

    def _until(self, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + _SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise NotDoneError("it took too long")
            time.sleep(0.1)


class _Answers:
    """What custom resources answer, at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[dict[str, Any]] = []
        self.arrived = threading.Condition()

    def expect(self, status: str, text: str = "") -> None:
        """Waits for the next answer; raises NotDoneError if it is another one."""
        with self.arrived:
            if not self.arrived.wait_for(lambda: self.received, _SECONDS / 2):
                raise NotDoneError("no answer came")
            answer = self.received.pop(0)
        if answer["Status"] != status or text not in answer.get("Reason", ""):
            raise NotDoneError(f"{answer['Status']}: {answer.get('Reason')}")


@contextmanager
def _listener() -> Iterator[_Answers]:
    """Takes answers for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with answers.arrived:
                answers.received.append(json.loads(body))
                answers.arrived.notify_all()
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Prints nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    answers = _Answers(f"http://127.0.0.1:{server.server_port}/answer")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
