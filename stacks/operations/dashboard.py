"""The dashboard of a stage: everything that there is to watch, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.common.alarms import alarm_name
from stacks.common.endpoint_metrics import instance_metric, invocation_metric, probe_metric
from stacks.common.metrics import (
    FIVE_MINUTES,
    api_metric,
    execution_metric,
    front_door_metric,
    own_metric,
    unanswered_share,
)
from stage.instance_types import is_gpu, vcpus
from stage.settings import Settings
from stage.tables import EndpointSettings

_HEIGHT = 6
# What fits into a row.
_COLUMNS = 24


@dataclass(frozen=True)
class _Graph:
    """unit: of the left axis."""

    title: str
    left: Sequence[cloudwatch.IMetric]
    right: Sequence[cloudwatch.IMetric] = ()
    unit: str | None = None


class Dashboard(Construct):
    """Rows: what to do, alarms, front door, each endpoint, search quality, bakes and batches.

    It names metrics and alarms and refers to nothing, so it is in the way of no update; one of a
    thing that is gone stays empty.

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
                        own_metric(settings, "ModelWait", "p50").with_(label="Model, p50"),
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
        name = self._settings.names.endpoint(instance_type)
        use: list[cloudwatch.IMetric] = [
            cloudwatch.MathExpression(
                expression=f"cpu / {vcpus(instance_type)}",  # it is summed over cores
                using_metrics={"cpu": instance_metric(name, "CPUUtilization", period=FIVE_MINUTES)},
                label="CPU",
                period=FIVE_MINUTES,
            ),
        ]
        percent = {"MemoryUtilization": "Memory"}
        if is_gpu(instance_type):
            percent |= {"GPUUtilization": "GPU", "GPUMemoryUtilization": "GPU memory"}
        use += [
            instance_metric(name, metric, period=FIVE_MINUTES).with_(label=label)
            for metric, label in percent.items()
        ]
        graphs = [
            _Graph("Invocations", [invocation_metric(name, "Invocations", "Sum")]),
            _Graph(
                "Latency",
                [
                    _milliseconds(invocation_metric(name, metric, statistic), label)
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
                    invocation_metric(name, metric, "Sum")
                    for metric in (
                        "InvocationModelErrors",
                        "Invocation4XXErrors",
                        "Invocation5XXErrors",
                    )
                ],
                [probe_metric(self._settings.stage, name, "ProbeFailed", "Maximum")],
            ),
            _Graph("Instances in use", use, unit="%"),
        ]
        if endpoint.scaling is not None:
            graphs.append(_Graph("Instances", [_instances(name)], unit="instances"))
        return [[_title(f"Endpoint {name}")], _row(*graphs)]

    def _quality(self) -> list[list[cloudwatch.IWidget]]:
        settings, hour = self._settings, cdk.Duration.hours(1)
        return [
            [_title("Search quality")],
            _row(
                _Graph("Questions", [own_metric(settings, "Questions", "Sum", period=hour)]),
                _Graph(
                    f"Best answer below {settings.alarms.min_score:g}",
                    [unanswered_share(settings, period=hour)],
                    unit="%",
                ),
                _Graph(
                    "Answered by another endpoint",
                    [own_metric(settings, "FailedOver", "Sum", period=hour)],
                ),
                _Graph(
                    "Age of the corpus",
                    [own_metric(settings, "CorpusAgeDays", "Maximum", period=hour)],
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
    name = label.lower().replace(", ", "_")  # names are the graph's, not the expression's
    return cloudwatch.MathExpression(
        expression=f"{name} / 1000",
        using_metrics={name: metric},
        label=label,
        period=metric.period,
    )


def _instances(endpoint_name: str) -> cloudwatch.MathExpression:
    """Each instance reports its CPU once a minute."""
    return cloudwatch.MathExpression(
        expression="reports / (PERIOD(reports) / 60)",
        using_metrics={"reports": instance_metric(endpoint_name, "CPUUtilization", "SampleCount")},
        label="Instances",
        period=cdk.Duration.minutes(1),
    )
