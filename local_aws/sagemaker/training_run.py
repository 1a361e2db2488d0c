"""One training job's run: inputs, process, artifact. Knows nothing about the API."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from local_aws.sagemaker.children import (
    Children,
    container_environment,
    replace_container_root,
)
from local_aws.sagemaker.execution_role import ExecutionRole
from local_aws.sagemaker.jobs import RunFailedError
from local_aws.sagemaker.storage import (
    Location,
    download,
    find_objects,
    relative_name,
    upload,
)

# Gets one record for each line of a job, so that a console can show its progress.
logger = logging.getLogger("local_aws.sagemaker.training")
_REASON_LENGTH = 1024
_POLL_INTERVAL = 0.1


class Ending(Enum):
    """How a process ended that did not fail."""

    COMPLETED = "it exited with status 0"
    STOPPED = "it was stopped"
    TIMED_OUT = "it exceeded MaxRuntimeInSeconds"


class TrainingRun:
    """Runs a CreateTrainingJob request.

    Args:
        request: Already checked.
        folder: The job's own; contains what stands for /opt/ml.
        log: Gets what the job writes.
        region: For the process.
    """

    def __init__(
        self,
        request: dict[str, Any],
        *,
        arn: str,
        folder: Path,
        log: Path,
        role: ExecutionRole,
        region: str,
    ) -> None:
        self._request = request
        self._arn = arn
        self._folder = folder
        self._base_dir = folder / "ml"
        self._log_path = log
        self._role = role
        self._s3 = role.client("s3")
        self._region = region

    def prepare(self) -> None:
        """Creates the folders of /opt/ml and downloads the input channels.

        Raises:
            RunFailedError: A channel has no objects.
            AccessDeniedError, ClientError: The role lacks a permission.
        """
        self._role.pull_image(self._request["AlgorithmSpecification"].get("TrainingImage", ""))
        self._role.use_volume_key(self._request["ResourceConfig"].get("VolumeKmsKeyId"))
        self._role.use_output_key(self._request["OutputDataConfig"].get("KmsKeyId"))
        self._role.write_logs(
            "/aws/sagemaker/TrainingJobs", f"{self._request['TrainingJobName']}/algo-1"
        )
        channels = self._request.get("InputDataConfig", [])
        for part in ("input/config", "input/data", "model", "output/data", "tmp"):
            (self._base_dir / part).mkdir(parents=True, exist_ok=True)
        self._write_config("hyperparameters", self._request.get("HyperParameters", {}))
        self._write_config("inputdataconfig", {c["ChannelName"]: _channel(c) for c in channels})
        self._write_config("resourceconfig", _resources(self._request["ResourceConfig"]))
        for channel in channels:
            self._download(channel["ChannelName"], channel["DataSource"]["S3DataSource"]["S3Uri"])

    def execute(self, children: Children, stop: threading.Event, grace: float) -> Ending:
        """Runs the container's entry point.

        Args:
            stop: Ends the process when set, as does exceeding MaxRuntimeInSeconds: by SIGTERM and,
                `grace` seconds later, SIGKILL.

        Raises:
            RunFailedError: It exited by itself with another status than 0.
        """
        deadline = time.monotonic() + self._request["StoppingCondition"].get(
            "MaxRuntimeInSeconds", 86_400
        )
        with self._output() as output:
            try:
                process = children.start(
                    self._command(), env=self._environment(), cwd=self._base_dir, output=output
                )
            except OSError as error:
                raise RunFailedError(f"AlgorithmError: {error}, exit code: 127") from error
            ending = _await_end(process, stop, deadline)
            children.end(process, grace)
        if ending is not Ending.COMPLETED or process.returncode == 0:
            return ending
        raise RunFailedError(self._failure(process.returncode))

    def upload_model(self) -> str:
        """Packs and uploads the model folder and returns its address.

        The tar has the gzip format without compression: weights hardly shrink, and even level 1
        would take longer than everything else.
        """
        output = self._request["OutputDataConfig"]
        uri = f"{output['S3OutputPath'].rstrip('/')}/{self._request['TrainingJobName']}/output/"
        self._upload_folder(self._base_dir / "model", f"{uri}model.tar.gz")
        if any((self._base_dir / "output" / "data").iterdir()):
            self._upload_folder(self._base_dir / "output" / "data", f"{uri}output.tar.gz")
        return f"{uri}model.tar.gz"

    def has_model(self) -> bool:
        """Whether the model folder has content."""
        model = self._base_dir / "model"
        return model.is_dir() and any(model.iterdir())

    def _upload_folder(self, folder: Path, uri: str) -> None:
        packed = self._folder / "packed.tar.gz"
        with tarfile.open(packed, "w:gz", compresslevel=0) as archive:
            archive.copybufsize = 1 << 20  # type: ignore[attr-defined]
            for path in sorted(folder.iterdir()):
                archive.add(path, arcname=path.name)
        key_id = self._request["OutputDataConfig"].get("KmsKeyId")
        upload(self._s3, packed, Location.parse(uri), key_id)
        packed.unlink()

    def _write_config(self, name: str, document: dict[str, Any]) -> None:
        path = self._base_dir / "input" / "config" / f"{name}.json"
        path.write_text(json.dumps(document))

    def _download(self, channel: str, uri: str) -> None:
        folder = self._base_dir / "input" / "data" / channel
        folder.mkdir()
        prefix = Location.parse(uri)
        keys = [key for key, _ in find_objects(self._s3, prefix)]
        if not keys:
            raise RunFailedError(
                f'ClientError: Data download failed: No S3 objects found under S3 URL "{uri}" '
                "given in input data source. Please ensure that the bucket exists in the "
                f"selected region ({self._region}), that objects exist under that S3 prefix, and "
                f'that the role "{self._request["RoleArn"]}" has "s3:ListBucket" permissions on '
                f'bucket "{prefix.bucket}".'
            )
        for key in keys:
            path = folder / relative_name(key, prefix.key)
            download(self._s3, Location(prefix.bucket, key), path)

    def _command(self) -> list[str]:
        algorithm = self._request["AlgorithmSpecification"]
        words = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
        words = [replace_container_root(word, self._base_dir) for word in words]
        if words[0] in {"python", "python3"}:
            words[0] = sys.executable
        return words

    def _environment(self) -> dict[str, str]:
        variables = {
            "TRAINING_JOB_NAME": self._request["TrainingJobName"],
            "TRAINING_JOB_ARN": self._arn,
            "AWS_REGION": self._region,
            **self._request.get("Environment", {}),
        }
        return container_environment(self._base_dir, variables)

    @contextmanager
    def _output(self) -> Iterator[int]:
        """A pipe whose lines go to the logs of the job and the server."""
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        reading, writing = os.pipe()
        copier = threading.Thread(target=self._copy_lines, args=(reading,), daemon=True)
        copier.start()
        try:
            yield writing
        finally:
            os.close(writing)
            # The process group is gone, so the pipe ends unless a process left the group.
            copier.join(_POLL_INTERVAL * 50)

    def _copy_lines(self, descriptor: int) -> None:
        name = self._request["TrainingJobName"]
        with open(descriptor, "rb") as lines, self._log_path.open("wb") as log:
            for line in lines:
                log.write(line)
                log.flush()
                logger.info("%s: %s", name, line.decode(errors="replace").rstrip())

    def _failure(self, status: int) -> str:
        # A container that was killed by a signal reports 128 plus the signal.
        code = 128 - status if status < 0 else status
        path = self._base_dir / "output" / "failure"
        text = path.read_text(errors="replace").strip() if path.is_file() else ""
        suffix = f", exit code: {code}"
        prefix = "AlgorithmError: "
        return f"{prefix}{text[: _REASON_LENGTH - len(prefix) - len(suffix)]}{suffix}"


def _await_end(process: subprocess.Popen[bytes], stop: threading.Event, deadline: float) -> Ending:
    """Waits until the process ends or has to be ended."""
    while True:
        try:
            process.wait(_POLL_INTERVAL)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                return Ending.STOPPED
            if time.monotonic() > deadline:
                return Ending.TIMED_OUT
        else:
            return Ending.COMPLETED


def _channel(channel: dict[str, Any]) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    document = {
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        document["ContentType"] = channel["ContentType"]
    return document


def _resources(config: dict[str, Any]) -> dict[str, Any]:
    host, group = "algo-1", "homogeneousCluster"
    return {
        "current_host": host,
        "current_instance_type": config["InstanceType"],
        "current_group_name": group,
        "hosts": [host],
        "instance_groups": [
            {
                "instance_group_name": group,
                "instance_type": config["InstanceType"],
                "hosts": [host],
            }
        ],
        "network_interface_name": "lo",
    }
