"""Where a deployed REST API is, and how to ask it: on AWS or on the local AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from commands.errors import CommandError
from commands.target import Choice, Target
from contract import outputs
from faq_search.api import FaqSearch


@dataclass(frozen=True)
class DeployedApi:
    """A stage's API. auth: `api_key`, then there is a key, or `iam`."""

    url: str
    auth: str
    api_key: str | None
    region: str

    def connect(self) -> FaqSearch:
        """A client of it; with `iam` it signs with the credentials of the environment."""
        if self.api_key is None:
            return FaqSearch(self.url, iam=True, region=self.region)
        return FaqSearch(self.url, api_key=self.api_key)


def find_api(target: Target, choice: Choice) -> DeployedApi:
    """The API of a stage, from the outputs of its stack.

    Raises CommandError when the stage is not deployed there.
    """
    name = choice.settings.names.stack("FrontDoor")
    stack = target.find_stack(name)
    if stack is None:
        raise CommandError(f"{name} is not deployed. Deploy it first: make deploy")
    return read_api(target, {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", ())})


def read_api(target: Target, found: Mapping[str, str]) -> DeployedApi:
    """The API that the outputs of a FrontDoor stack describe."""
    url = found[outputs.API_URL]
    if target.local is not None:  # AWS's host name becomes a path
        host, _, stage = url.removeprefix("https://").rstrip("/").partition("/")
        url = f"{target.local.endpoint_url}/execute-api/{host.partition('.')[0]}/{stage}"
    api_key = None
    if key_id := found.get(outputs.API_KEY_ID):
        client = target.client("apigateway")
        api_key = client.get_api_key(apiKey=key_id, includeValue=True)["value"]
    return DeployedApi(url, found[outputs.API_AUTH], api_key, target.region)
