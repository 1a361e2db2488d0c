"""The front door: what importing it takes, and what it adds to a warm request."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

from bench.context import Bench
from bench.measure import ROOT, Contender, Process, Samples, times_faster
from bench.report import Chart, Section, Table, from_start_table, milliseconds
from stage.vendor import LAYER

_MODULE = "bench.contenders.front_doors"
OURS, USUAL = "front door", "boto3 client, Powertools, pydantic"
COLD, RESTORED = "imported for it", "imported before, forked for it"
PLAIN, FLOOR = "plain boto3 function", "bare connection"
_SETTINGS = {
    "APP_STAGE": "bench",
    "ENDPOINTS": json.dumps([{"instance_type": "ml.c6i.xlarge", "endpoint_name": "faq"}]),
    "DEPLOYMENT_PARAMETER": "/faq-search/bench/deployment",
    "SERVING_PARAMETER": "/faq-search/bench/serving",
    "MIN_SCORE": "0.4",
    "MARGIN": "0",
    "UNANSWERED_BELOW": "0.3",
    "LEXICAL": "true",
    "TIME_BUDGET_SECONDS": "26",
    "POWERTOOLS_SERVICE_NAME": "front-door",
    "POWERTOOLS_METRICS_NAMESPACE": "FaqSearch",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
}


def measure(bench: Bench) -> Section:
    """In fresh processes and in warm ones; under Lambda's Python with the layer where it is."""
    python, paths, runtime = _runtime(bench)
    environment = {
        **_SETTINGS,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths))),
        # Bytecode is cached for both, and not among the sources.
        "PYTHONPYCACHEPREFIX": str(bench.work / "pycache"),
        "PYTHONDONTWRITEBYTECODE": "",
    }

    def contender(name: str, function: str, **more: str) -> Contender:
        return Contender(name, python, f"{_MODULE}:{function}", {}, environment | more)

    cold = [contender(OURS, "front_door_import"), contender(USUAL, "usual_import")]
    rounds = 2 if bench.quick else 15
    imports = bench.from_start("front door, import", cold, "import", rounds, inside=True)
    with Process(contender("stand-in", "stand_in")) as server:
        url = f"http://127.0.0.1:{server.run('port').value['port']}"
        first = bench.from_start(
            "front door, first request",
            [
                contender(COLD, "front_door_cold", AWS_ENDPOINT_URL=url),
                contender(RESTORED, "front_door_restored", AWS_ENDPOINT_URL=url),
            ],
            "first",
            rounds,
            inside=True,
        )
        functions = {OURS: "front_door_warm", PLAIN: "plain_boto3_warm", FLOOR: "round_trip"}
        warm = bench.compare(
            "front door, warm",
            [
                contender(name, function, AWS_ENDPOINT_URL=url)
                for name, function in functions.items()
            ],
            {"search": 20 if bench.quick else 300},
        )["search"]
    return section(imports, first, warm, runtime)


def _runtime(bench: Bench) -> tuple[str, list[Path], str]:
    """Interpreter, folders on its path, and a sentence about both."""
    ours = [ROOT / "lambda"]
    if bench.lambda_python is None:
        runtime = f"Under Python {sys.version.split()[0]}: Lambda's, 3.13, is not here."
        return sys.executable, ours, runtime
    layer = bench.work / "layer"
    with zipfile.ZipFile(LAYER.path) as archive:
        archive.extractall(layer)
    botocore = find_spec("botocore")  # the runtime brings it; here this environment does
    assert botocore is not None and botocore.origin is not None
    return (
        bench.lambda_python,
        [*ours, layer / "python", Path(botocore.origin).parents[1]],
        "Under Lambda's Python with the layer's packages, and this environment's botocore.",
    )


def section(
    imports: dict[str, Samples], first: dict[str, Samples], warm: dict[str, Samples], runtime: str
) -> Section:
    """The section from imports and first requests in fresh processes, and warm requests."""
    floor = warm[FLOOR].median
    share = 1 / times_faster(imports[OURS], imports[USUAL])
    return Section(
        "Front door",
        notes=[
            runtime + " Fresh processes, files in the page cache, bytecode cached.",
            f"Importing the front door, its clients included, takes {share:.0%} of importing what"
            " such functions usually import.",
            "The first request needs the import, or, as from a snapshot, only what an import"
            " cannot do before: credentials, a connection.",
            "The warm request is a search with three hits before a stand-in for SageMaker that"
            f" answers at once; the bare connection is the stand-in's own time. The {PLAIN} checks,"
            " logs and counts nothing.",
        ],
        tables=[
            from_start_table("Import, median of fresh processes", imports, USUAL),
            from_start_table("The first request, median of fresh processes", first, COLD),
            Table(
                "A warm request",
                ["", "ms", "beyond the bare connection, ms"],
                [
                    [name, milliseconds(samples.median), milliseconds(samples.median - floor)]
                    for name, samples in warm.items()
                ],
            ),
        ],
        charts=[
            Chart(
                "front-door",
                "Importing the function",
                "ms",
                ["import"],
                {name: [samples.median * 1000] for name, samples in imports.items()},
            )
        ],
    )
