"""`make local`: starts the local AWS, deploys to it with the real CDK, prints what to ask.

Ctrl-C stops everything. Meanwhile `.local/api.json` (url, api_key, auth, region) tells the client
where the API is, and `.local/running.json` tells the other commands where the local AWS is.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import threading
import time
from pathlib import Path

from rich.markup import escape
from rich.panel import Panel

from commands.cdk_cli import Choice, console
from commands.local_app import find_weights, first_deploy, serving
from commands.local_state import API_FILE, LOCAL_STAGE, LOG_FILE, LocalError
from faq_search.settings import connect
from local_aws.context import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from stage.settings import SettingsError

FIRST_QUESTION = "How do I stop paying for an endpoint I no longer need?"


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="commands.local", description="Deploys the app to a local AWS."
    )
    parser.add_argument("--stage", default=LOCAL_STAGE, help="the settings: config/<stage>.toml")
    parser.add_argument("--corpus", help="a corpus file instead of the one in the settings")
    parser.add_argument("--config", help="a folder with settings, instead of config")
    parser.add_argument("--weights", type=Path, help="a folder with the weights of another model")
    parser.add_argument("--port", type=int, default=4566)
    options = parser.parse_args()
    try:
        choice = Choice.read(options.stage, options.corpus, options.config)
        return _up(choice, options.weights, options.port)
    except (SettingsError, LocalError) as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(choice: Choice, weights: Path | None, port: int) -> int:
    """Starts the local AWS, deploys, prints what to ask, and serves until Ctrl-C."""
    began = time.monotonic()
    weights = find_weights(choice.settings, weights)
    with serving(choice, port) as running:
        console.print(f"Local AWS at {running.endpoint_url}; its log is {LOG_FILE}")
        # The bake's own lines, between those of the CDK.
        logging.getLogger("local_aws.sagemaker.training").addHandler(logging.StreamHandler())
        if status := first_deploy(running, choice, weights):
            console.print("The deployment failed; the reason stands above.", style="red")
            return status
        _print_invitation(began)
        threading.Event().wait()
    return 0


def _print_invitation(began: float) -> None:
    """Asks the first question, and shows how to ask the next one."""
    api = json.loads(API_FILE.read_text())
    with connect({}, local_file=API_FILE) as client:
        (hits,) = client.search([FIRST_QUESTION], top_k=1).results
    seconds = time.monotonic() - began
    by_key = api["auth"] == "api_key"
    identity = (
        f'-H "x-api-key: {api["api_key"]}"'
        if by_key
        else f"--aws-sigv4 aws:amz:{api['region']}:execute-api"
        f" --user {ACCESS_KEY_ID}:{SECRET_ACCESS_KEY}"
    )
    body = json.dumps({"queries": [FIRST_QUESTION], "top_k": 3})
    lines = [
        f"[bold]The first question was answered {seconds:.0f} s after the start:[/bold]",
        f"  {FIRST_QUESTION}",
        f"  {escape(hits[0].answer or hits[0].id)} [dim](score {hits[0].score:.2f})[/dim]",
        "",
        f"URL      {api['url']}",
        f"API key  {api['api_key']}" if by_key else "Requests are signed (SigV4).",
        "",
        "Second terminal: make diff CORPUS=faq.csv, make deploy CORPUS=faq.csv, make destroy;"
        " make help",
        "Ctrl-C here stops everything.",
    ]
    console.print(Panel("\n".join(lines), title="FAQ search is up", expand=False))
    # Outside of the frame, so that it can be copied.
    print(
        f"curl -s {identity} -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}' \\\n  {api['url']}/search\n",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
