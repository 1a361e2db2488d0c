"""The dashboard of a stage: everything to watch, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from contract.metrics import CORPUS_AGE_DAYS, FAILED_OVER, MODEL_WAIT, PROBE_FAILED, QUESTIONS
from stacks.alarms.alarm import alarm_name
from stacks.common.endpoint import NamedEndpoint
from stacks.common.metrics import (
    FIVE_MINUTES,
    api_metric,
    execution_metric,
    front_door_metric,
    stage_metric,
    unanswered_share,
)
from stage.instance_types import is_gpu, vcpus
from stage.settings import Settings
from stage.tables import EndpointSettings

_HEIGHT = 6
# The width of the page.
_COLUMNS = 24


@dataclass(frozen=True)
class _Graph:
    """A graph; the unit is the left axis's."""

    title: str
    left: Sequence[cloudwatch.IMetric]
    right: Sequence[cloudwatch.IMetric] = ()
    unit: str | None = None


class Dashboard(Construct):
    """Rows: what to do, alarms, front door, each endpoint, search quality, bakes and batches.

    It knows metrics and alarms by name and refers to nothing, so it blocks no update. The graph of
    a deleted resource stays empty.

    Args:
        alarms: to show, of any stack.

    Attributes:
        name: in CloudWatch.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        alarms: Sequence[cloudwatch.Alarm],
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self.name = settings.names.prefix
        cloudwatch.Dashboard(
            self,
            "Resource",
            dashboard_name=self.name,
            default_interval=cdk.Duration.hours(12),
            widgets=[
                [self._what_to_do(), self._alarms(alarms)],
                *self._front_door(),
                *(row for endpoint in settings.endpoints for row in self._endpoint(endpoint)),
                *self._quality(),
                *self._executions(),
            ],
        )

    def _what_to_do(self) -> cloudwatch.TextWidget:
        stage = self._settings.stage
        return cloudwatch.TextWidget(
            width=_COLUMNS // 2,
            height=_HEIGHT,
            markdown=f"""# FAQ search, {stage}
Each alarm's description says what to do. Also:
* **Is it up?** `GET /health`, or `make status STAGE={stage}`.
* **An update failed?** It is rolled back automatically; the stacks' events say why.
* **Worse answers with a new corpus?** `make versions STAGE={stage}`, then `make rollback`.
* **Slow, or throttled?** More instances, or `scaling`, in `config/{stage}.toml`.
* **Not needed at the moment?** `make off STAGE={stage}`, and later `make on`.
""",
        )

    def _alarms(self, alarms: Sequence[cloudwatch.Alarm]) -> cloudwatch.AlarmStatusWidget:
        names = sorted(alarm_name(each) for each in alarms)
        return cloudwatch.AlarmStatusWidget(
            title="Alarms",
            width=_COLUMNS // 2,
            height=_HEIGHT,
            alarms=[
                cloudwatch.Alarm.from_alarm_name(self, f"Alarm-{name}", name) for name in names
            ],
        )

    def _front_door(self) -> list[list[cloudwatch.IWidget]]:
        settings = self._settings
        errors = [
            cloudwatch.MathExpression(
                expression=f"100 * share_{kind}",
                using_metrics={f"share_{kind}": api_metric(settings, f"{kind}Error", "Average")},
                label=f"{kind}, % of requests",
                period=FIVE_MINUTES,
            )
            for kind in ("4XX", "5XX")
        ]
        return [
            [_title("Front door")],
            _row(
                _Graph("Requests", [api_metric(settings, "Count", "Sum")]),
                _Graph("Errors", errors, unit="%"),
                _Graph(
                    "Latency",
                    [
                        *(
                            api_metric(settings, "Latency", s).with_(label=f"Request, {s}")
                            for s in ("p50", "p99")
                        ),
                        stage_metric(settings, MODEL_WAIT, "p50").with_(label="Model, p50"),
                    ],
                    unit="ms",
                ),
                _Graph(
                    "Function",
                    [front_door_metric(settings, "ConcurrentExecutions", "Maximum")],
                    [front_door_metric(settings, s, "Sum") for s in ("Errors", "Throttles")],
                ),
            ),
        ]

    def _endpoint(self, endpoint: EndpointSettings) -> list[list[cloudwatch.IWidget]]:
        instance_type = endpoint.instance_type
        named = NamedEndpoint(self._settings, instance_type)
        use: list[cloudwatch.IMetric] = [
            cloudwatch.MathExpression(
                expression=f"cpu / {vcpus(instance_type)}",  # it is summed over cores
                using_metrics={"cpu": named.instance_metric("CPUUtilization", period=FIVE_MINUTES)},
                label="CPU",
                period=FIVE_MINUTES,
            ),
        ]
        percent = {"MemoryUtilization": "Memory"}
        if is_gpu(instance_type):
            percent |= {"GPUUtilization": "GPU", "GPUMemoryUtilization": "GPU memory"}
        use += [
            named.instance_metric(metric, period=FIVE_MINUTES).with_(label=label)
            for metric, label in percent.items()
        ]
        graphs = [
            _Graph("Invocations", [named.invocation_metric("Invocations", "Sum")]),
            _Graph(
                "Latency",
                [
                    _milliseconds(named.invocation_metric(metric, statistic), label)
                    for metric, statistic, label in (
                        ("ModelLatency", "p50", "Model, p50"),
                        ("ModelLatency", "p99", "Model, p99"),
                        ("OverheadLatency", "p99", "SageMaker, p99"),
                    )
                ],
                unit="ms",
            ),
            _Graph(
                "Errors",
                [
                    named.invocation_metric(metric, "Sum")
                    for metric in (
                        "InvocationModelErrors",
                        "Invocation4XXErrors",
                        "Invocation5XXErrors",
                    )
                ],
                [named.probe_metric(PROBE_FAILED, "Maximum")],
            ),
            _Graph("Instances in use", use, unit="%"),
        ]
        if endpoint.scaling is not None:
            graphs.append(_Graph("Instances", [_instances(named)], unit="instances"))
        return [[_title(f"Endpoint {named.name}")], _row(*graphs)]

    def _quality(self) -> list[list[cloudwatch.IWidget]]:
        settings, hour = self._settings, cdk.Duration.hours(1)
        return [
            [_title("Search quality")],
            _row(
                _Graph("Questions", [stage_metric(settings, QUESTIONS, "Sum", hour)]),
                _Graph(
                    f"Best answer below {settings.unanswered_below:g}",
                    [unanswered_share(settings, hour)],
                    unit="%",
                ),
                _Graph(
                    "Answered by another endpoint",
                    [stage_metric(settings, FAILED_OVER, "Sum", hour)],
                ),
                _Graph(
                    "Age of the corpus",
                    [stage_metric(settings, CORPUS_AGE_DAYS, "Maximum", hour)],
                    unit="days",
                ),
            ),
        ]

    def _executions(self) -> list[list[cloudwatch.IWidget]]:
        outcomes = ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed")
        return [
            [_title("Bakes and batches")],
            _row(
                *(
                    _Graph(
                        title,
                        [execution_metric(self, name, outcome) for outcome in outcomes],
                    )
                    for title, name in (
                        ("Bakes", self._settings.names.bake_workflow),
                        ("Batches", self._settings.names.batch_workflow),
                    )
                )
            ),
        ]


def _title(text: str) -> cloudwatch.TextWidget:
    return cloudwatch.TextWidget(markdown=f"## {text}", width=_COLUMNS, height=1)


def _row(*graphs: _Graph) -> list[cloudwatch.IWidget]:
    """Graphs side by side, as wide as the page."""
    return [
        cloudwatch.GraphWidget(
            title=graph.title,
            left=list(graph.left),
            right=list(graph.right),
            left_y_axis=cloudwatch.YAxisProps(label=graph.unit, min=0, show_units=False),
            right_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
            width=_COLUMNS // len(graphs),
            height=_HEIGHT,
        )
        for graph in graphs
    ]


def _milliseconds(metric: cloudwatch.Metric, label: str) -> cloudwatch.MathExpression:
    name = label.lower().replace(", ", "_")  # must be unique in the graph
    return cloudwatch.MathExpression(
        expression=f"{name} / 1000",
        using_metrics={name: metric},
        label=label,
        period=metric.period,
    )


def _instances(endpoint: NamedEndpoint) -> cloudwatch.MathExpression:
    """Each instance reports its CPU once a minute."""
    return cloudwatch.MathExpression(
        expression="reports / (PERIOD(reports) / 60)",
        using_metrics={"reports": endpoint.instance_metric("CPUUtilization", "SampleCount")},
        label="Instances",
        period=cdk.Duration.minutes(1),
    )
