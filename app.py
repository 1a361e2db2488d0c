"""The CDK app: reads the stage's settings and composes the stacks.

cdk deploy --all -c stage=dev                     the settings of config/dev.toml
cdk deploy --all -c stage=dev -c corpus=faq.csv   the same with another corpus file
cdk deploy --all -c stage=dev -c reuse=BAKE_ID    an earlier bake, without training
"""

from __future__ import annotations

import sys
from types import TracebackType


def _excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if kind is not KeyboardInterrupt:  # Ctrl-C needs no traceback
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _excepthook

import aws_cdk as cdk

from stacks.application import build_application
from stage.bundles import BundleError
from stage.corpus_file import corpus_warnings
from stage.settings import SettingsError, load_settings

app = cdk.App()
try:
    settings = load_settings(
        stage=app.node.try_get_context("stage") or "dev",
        corpus=app.node.try_get_context("corpus"),
        directory=app.node.try_get_context("config"),
        reuse=app.node.try_get_context("reuse"),
    )
    for warning in corpus_warnings(settings):
        print(f"Warning: {warning}", file=sys.stderr)
    build_application(app, settings)
except (SettingsError, BundleError) as error:
    sys.exit(str(error))
app.synth()
