"""All instances of one endpoint configuration, healthy or not at all."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local_aws.sagemaker.children import Children
from local_aws.sagemaker.errors import ApiError
from local_aws.sagemaker.instance import Instance, InstancePlan
from local_aws.sagemaker.model_data import ModelData, ModelDataCache, ModelDataError

_DEFAULT_HEALTH_CHECK_TIMEOUT = 240.0


class FleetError(Exception):
    """The fleet can not serve; the message is the endpoint's FailureReason."""


@dataclass(frozen=True)
class Variant:
    """One production variant as configured, with its model's container as it was then.

    A copy, because configuration and model may be deleted while the endpoint serves.
    """

    settings: Mapping[str, Any]
    container: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the variant."""
        return str(self.settings["VariantName"])

    @property
    def weight(self) -> float:
        """Share of the traffic, relative to the other variants'."""
        return float(self.settings.get("InitialVariantWeight", 1.0))

    @property
    def instances(self) -> int:
        """How many instances are told of; one process serves, however many."""
        return int(self.settings.get("InitialInstanceCount", 1))

    def change(self, *, weight: float | None, instances: int | None) -> Variant:
        """The same with another weight or instance count; None keeps it."""
        changed = dict(self.settings)
        if weight is not None:
            changed["InitialVariantWeight"] = weight
        if instances is not None:
            changed["InitialInstanceCount"] = instances
        return replace(self, settings=changed)

    def retain(self, serving: Variant, excluded: Collection[str]) -> Variant:
        """The same with what the serving variant has been scaled to.

        Args:
            serving: The variant of this name that serves now.
            excluded: Of DesiredInstanceCount and DesiredWeight, those that are not kept.
        """
        return self.change(
            weight=None if "DesiredWeight" in excluded else serving.weight,
            instances=None if "DesiredInstanceCount" in excluded else serving.instances,
        )


class Fleet:
    """One process for each variant, whatever its instance count.

    Args:
        endpoint: The endpoint's name.
        number: Tells the fleets of one endpoint apart.
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
        """Starts every instance and waits until all are healthy.

        Raises:
            FleetError: One did not become healthy. `close` the fleet then, too.
        """
        for variant in self.variants:
            self._instances[variant.name] = Instance(
                self._plan(variant, cache), children, self._closing
            )
        for name, instance in self._instances.items():
            if not instance.start():
                raise FleetError(
                    f"The primary container for production variant {name} did not pass the "
                    "ping health check. Please check CloudWatch logs for this endpoint. "
                    f"(Here: {instance.plan.log}; its last line: {instance.last_words()})"
                )

    def choose(self, target: str | None) -> tuple[str, Instance]:
        """A variant by weight, or the one the caller asks for.

        Raises:
            ApiError: There is no such variant.
        """
        if target is not None:
            if target not in self._instances:
                raise ApiError("ValidationError", f"Variant {target} not found.")
            return target, self._instances[target]
        if len(self.variants) == 1:
            name = self.variants[0].name
        else:
            weights = [variant.weight for variant in self.variants]
            name = random.choices(self.variants, weights)[0].name  # noqa: S311  not a secret
        return name, self._instances[name]

    def enter(self) -> None:
        """Counts a request in; `leave` must follow."""
        with self._idle:
            self._in_flight += 1

    def leave(self) -> None:
        """Counts a request out."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def drain(self, timeout: float) -> None:
        """Waits until no request is in flight, `timeout` seconds at most."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout)

    def close(self) -> None:
        """Ends every process and gives back the artifacts."""
        for instance in self._instances.values():
            instance.close()
        while self._model_dirs:
            cache, folder = self._model_dirs.pop()
            cache.release(folder)

    def cancel(self) -> None:
        """Lets a `start` or a `watch` in progress fail soon."""
        self._closing.set()

    def watch(self, seconds: float) -> None:
        """Lets `seconds` pass, while every instance keeps running.

        Raises:
            FleetError: One ended by itself, or the fleet is cancelled.
        """
        if self._closing.wait(seconds):
            raise FleetError("The deployment was cancelled.")
        for name, instance in self._instances.items():
            if instance.has_ended:
                raise FleetError(
                    f"The primary container for production variant {name} ended while it was "
                    "watched. Please check CloudWatch logs for this endpoint. "
                    f"(Here: {instance.plan.log}; its last line: {instance.last_words()})"
                )

    def _plan(self, variant: Variant, cache: ModelDataCache) -> InstancePlan:
        data = ModelData.of_container(dict(variant.container))
        model_dir = None
        if data is not None:
            try:
                model_dir = cache.acquire(data)
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
