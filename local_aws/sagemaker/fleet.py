"""The instances of one endpoint configuration."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local_aws.sagemaker.children import Children
from local_aws.sagemaker.execution_role import AccessDeniedError, ExecutionRole
from local_aws.sagemaker.instance import Instance, InstancePlan
from local_aws.sagemaker.model_data import ModelDataCache, ModelDataError, model_data

_DEFAULT_HEALTH_CHECK_TIMEOUT = 240.0


class FleetError(Exception):
    """The fleet cannot serve; the message becomes the endpoint's FailureReason."""


@dataclass(frozen=True)
class Variant:
    """A copy of a production variant and its model's container.

    Configuration and model may be deleted while the endpoint serves.
    """

    settings: Mapping[str, Any]
    container: Mapping[str, Any]
    role: ExecutionRole
    volume_key: str | None = None

    @property
    def name(self) -> str:
        """The variant's name."""
        return str(self.settings["VariantName"])

    @property
    def weight(self) -> float:
        """The share of the traffic, relative to the other variants."""
        return float(self.settings.get("InitialVariantWeight", 1.0))

    @property
    def instances(self) -> int:
        """The reported number of instances; a single process serves for all."""
        return int(self.settings.get("InitialInstanceCount", 1))

    def change(self, *, weight: float | None, instances: int | None) -> Variant:
        """A copy with another weight or instance count; None keeps the current one."""
        changed = dict(self.settings)
        if weight is not None:
            changed["InitialVariantWeight"] = weight
        if instances is not None:
            changed["InitialInstanceCount"] = instances
        return replace(self, settings=changed)

    def retain(self, serving: Variant, excluded: Collection[str]) -> Variant:
        """A copy with the weight and instance count of the serving variant.

        Args:
            excluded: DesiredInstanceCount or DesiredWeight if they are not kept.
        """
        return self.change(
            weight=None if "DesiredWeight" in excluded else serving.weight,
            instances=None if "DesiredInstanceCount" in excluded else serving.instances,
        )


class Fleet:
    """One process for each variant, whatever its instance count.

    Args:
        endpoint: The endpoint's name.
        number: Distinguishes the fleets of one endpoint.
        variants: At least one.
        folder: The endpoint's.
        log_folder: The endpoint's.
    """

    def __init__(
        self,
        endpoint: str,
        number: int,
        variants: Sequence[Variant],
        folder: Path,
        log_folder: Path,
    ) -> None:
        self.variants = variants
        self._endpoint = endpoint
        self._number = number
        self._folder = folder
        self._log_folder = log_folder
        self._instances: dict[str, Instance] = {}
        self._model_dirs: list[tuple[ModelDataCache, Path]] = []
        self._closing = threading.Event()
        self._in_flight = 0
        self._idle = threading.Condition()

    def start(self, children: Children, cache: ModelDataCache) -> None:
        """Starts all instances and waits until they are healthy.

        Raises:
            FleetError: One did not become healthy; `close` is needed all the same.
        """
        for variant in self.variants:
            self._instances[variant.name] = Instance(
                self._plan(variant, cache), children, self._closing
            )
        for name, instance in self._instances.items():
            if not instance.start():
                raise _failure(name, instance, "did not pass the ping health check")

    def choose(self) -> tuple[str, Instance]:
        """A variant by weight."""
        weights = [variant.weight for variant in self.variants]
        name = random.choices(self.variants, weights)[0].name  # noqa: S311  not a secret
        return name, self._instances[name]

    def enter(self) -> None:
        """Registers a request; `leave` must follow."""
        with self._idle:
            self._in_flight += 1

    def leave(self) -> None:
        """Unregisters a request."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def drain(self, timeout: float) -> None:
        """Waits until no request is in flight, at most `timeout` seconds."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout)

    def close(self) -> None:
        """Ends all processes and releases the artifacts."""
        for instance in self._instances.values():
            instance.close()
        while self._model_dirs:
            cache, folder = self._model_dirs.pop()
            cache.release(folder)

    def cancel(self) -> None:
        """Makes a running `start` or `watch` fail soon."""
        self._closing.set()

    def watch(self, seconds: float) -> None:
        """Waits for `seconds` while all instances keep running.

        Raises:
            FleetError: One has ended, or the fleet was cancelled.
        """
        if self._closing.wait(seconds):
            raise FleetError("The deployment was cancelled.")
        for name, instance in self._instances.items():
            if instance.has_ended:
                raise _failure(name, instance, "ended during the deployment")

    def _plan(self, variant: Variant, cache: ModelDataCache) -> InstancePlan:
        try:
            variant.role.pull_image(variant.container.get("Image", ""))
            variant.role.use_volume_key(variant.volume_key)
            variant.role.write_logs(f"/aws/sagemaker/Endpoints/{self._endpoint}", variant.name)
        except AccessDeniedError as error:
            raise FleetError(str(error)) from error
        location = model_data(dict(variant.container))
        model_dir = None
        if location is not None:
            try:
                model_dir = cache.acquire(variant.role.client("s3"), location)
            except ModelDataError as error:
                raise FleetError(str(error)) from error
            self._model_dirs.append((cache, model_dir))
        label = f"{self._number:04d}-{variant.name}"
        return InstancePlan(
            label=f"endpoint {self._endpoint}, variant {variant.name}",
            environment=variant.container.get("Environment", {}),
            model_dir=model_dir,
            folder=self._folder / label,
            log=self._log_folder / f"{label}.log",
            health_check_timeout=float(
                variant.settings.get(
                    "ContainerStartupHealthCheckTimeoutInSeconds", _DEFAULT_HEALTH_CHECK_TIMEOUT
                )
            ),
        )


def _failure(variant: str, instance: Instance, what: str) -> FleetError:
    return FleetError(
        f"The primary container for production variant {variant} {what}. Please check CloudWatch "
        f"logs for this endpoint. (Here: {instance.plan.log}; its last line: "
        f"{instance.last_words()})"
    )
