"""Where a deployed REST API is, and how to ask it: on AWS or on the local AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from commands.errors import CommandError
from commands.local_state import STATE
from commands.target import Choice, Target
from faq_search.settings import TOKEN, Api, api_of_outputs


def find_api(target: Target, choice: Choice) -> Api:
    """The API of a stage, from the outputs of its stack.

    Raises CommandError when the stage is not deployed there.
    """
    name = choice.settings.names.stack("FrontDoor")
    stack = target.find_stack(name)
    if stack is None:
        raise CommandError(f"{name} is not deployed. Deploy it first: make deploy")
    return read_api(target, {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", ())})


def read_api(target: Target, found: Mapping[str, str]) -> Api:
    """The API that the outputs of a FrontDoor stack describe; a token is the environment's."""
    token = os.environ.get(TOKEN)
    api = api_of_outputs(found, lambda: target.client("apigateway"), target.region, token=token)
    if target.local is None:
        return api
    # AWS's host name becomes a path.
    host, _, stage = api.url.removeprefix("https://").rstrip("/").partition("/")
    url = f"{target.local.endpoint_url}/execute-api/{host.partition('.')[0]}/{stage}"
    return replace(api, url=url, credentials_file=STATE / "credentials")
