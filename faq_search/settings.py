"""Where the API is: arguments, the environment, a stack's outputs, or what `make local` wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from contract import outputs
from contract.names import Names
from faq_search.errors import InputError

if TYPE_CHECKING:
    from faq_search.api import FaqSearch
    from faq_search.async_api import AsyncFaqSearch

URL: Final = "FAQ_SEARCH_URL"
API_KEY: Final = "FAQ_SEARCH_API_KEY"
TOKEN: Final = "FAQ_SEARCH_TOKEN"  # noqa: S105 - a name
STAGE: Final = "FAQ_SEARCH_STAGE"
LOCAL_STATE: Final = "LOCAL_STATE"


@dataclass(frozen=True)
class Api:
    """A deployed API, and proof of who asks.

    Attributes:
        auth: `api_key`, `jwt` (a bearer token) or `iam`.
        found_in: what named it, if that was no argument.
        credentials_file: for `iam`, instead of the credentials of the environment.
    """

    url: str
    auth: str
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    region: str | None = None
    found_in: str = ""
    credentials_file: Path | None = None

    def connect(self, **options: Any) -> FaqSearch:
        """A client of it; `options` are those of FaqSearch."""
        from faq_search.api import FaqSearch  # noqa: PLC0415 - takes a while to load

        return FaqSearch(self.url, **self._proof(), **options)

    def connect_async(self, **options: Any) -> AsyncFaqSearch:
        """An asynchronous client of it; `options` are those of AsyncFaqSearch."""
        from faq_search.async_api import AsyncFaqSearch  # noqa: PLC0415 - takes a while to load

        return AsyncFaqSearch(self.url, **self._proof(), **options)

    def _proof(self) -> dict[str, Any]:
        if self.auth == "iam":
            from faq_search.signing import iam_signer  # noqa: PLC0415 - with those who sign

            return {"signer": iam_signer(self.url, self.region, self.credentials_file)}
        if self.auth == "jwt" and not self.token:
            raise _no_token(self.url)
        return {"api_key": self.api_key, "token": self.token}


def find_api(
    environment: Mapping[str, str] | None = None,
    *,
    url: str | None = None,
    api_key: str | None = None,
    token: str | None = None,
    iam: bool = False,
    region: str | None = None,
    stage: str | None = None,
    local_file: Path | None = None,
) -> Api:
    """The API that is named first: `url` or `stage`, the environment's, or that of `make local`.

    The environment (default: the process's) has FAQ_SEARCH_URL or FAQ_SEARCH_STAGE, and
    FAQ_SEARCH_API_KEY or FAQ_SEARCH_TOKEN. A key or token of it goes only to its URL, or to one
    that it does not name. A stage is found by the outputs of its stack, which takes botocore and
    AWS credentials; so is its key.

    Args:
        api_key, token, iam: who asks; only one of them.
        region: of the API, for `iam`; and where a stage is.
        local_file: default: `.local/api.json`, or `api.json` in the folder LOCAL_STATE.

    Raises InputError with what is missing.
    """
    environment = os.environ if environment is None else environment
    if [bool(api_key), bool(token), iam].count(True) > 1:
        raise InputError("Give one of an API key, a token and --iam.")
    if url and stage:
        raise InputError("Give a URL or a stage, not both.")
    given = _Proof(api_key, token, iam)
    if not url and not stage:
        url, stage = environment.get(URL), environment.get(STAGE)
        if url and stage:
            raise InputError(f"The environment has both {URL} and {STAGE}; unset one.")
        source = URL if url else STAGE
    else:
        source = ""
    if (url or stage) and not given and environment.get(URL) in (None, "", url):
        given = _of_environment(environment)
    if url:
        return given.api(url, region, source)
    if stage:
        return _find_stage(stage, region, given)
    if local_file is None:
        local_file = Path(environment.get(LOCAL_STATE) or ".local") / "api.json"
    return _read_local(local_file, given, region, environment)


@dataclass(frozen=True)
class _Proof:
    api_key: str | None = None
    token: str | None = None
    iam: bool = False

    def __bool__(self) -> bool:
        return bool(self.api_key or self.token or self.iam)

    def api(self, url: str, region: str | None, found_in: str) -> Api:
        if not self:
            raise InputError(
                f"No API key for {url}: set {API_KEY}, or {TOKEN}, or sign with --iam."
            )
        auth = "iam" if self.iam else "api_key" if self.api_key else "jwt"
        return Api(url, auth, self.api_key, self.token, region, found_in)


def _of_environment(environment: Mapping[str, str]) -> _Proof:
    api_key, token = environment.get(API_KEY), environment.get(TOKEN)
    if api_key and token:
        raise InputError(f"The environment has both {API_KEY} and {TOKEN}; unset one.")
    return _Proof(api_key, token)


def _read_local(
    file: Path, given: _Proof, region: str | None, environment: Mapping[str, str]
) -> Api:
    try:
        local = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"No API to ask: start one with `make local` (it writes {file}), set {URL}, or give"
            " --url or --stage."
        ) from None
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}") from None
    if not isinstance(local, dict) or not isinstance(local.get("url"), str):
        raise InputError(f'{file} has no "url".')
    region = region or local.get("region")
    if not given and local.get("auth") == "jwt":
        given = _Proof(token=environment.get(TOKEN))
        if not given:
            raise _no_token(local["url"])
    if given or local.get("auth") != "iam":
        return (given or _Proof(local.get("api_key"))).api(local["url"], region, str(file))
    credentials = file.with_name("credentials")  # of the local AWS
    return Api(
        *(local["url"], "iam", None, None, region, str(file)),
        credentials_file=credentials if credentials.exists() else None,
    )


def _find_stage(stage: str, region: str | None, given: _Proof) -> Api:
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - optional
        from botocore.session import Session  # noqa: PLC0415
    except ImportError as error:
        raise InputError("Finding a stage needs botocore: pip install botocore.") from error
    name = Names(stage).stack("FrontDoor")
    try:
        session = Session()

        def client(service: str) -> Any:
            return session.create_client(service, region_name=region)

        (stack,) = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        found = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}
        if outputs.API_URL not in found:
            raise InputError(f"{name} has no {outputs.API_URL}; is its deployment complete?")
        if given:
            return given.api(found[outputs.API_URL], region, name)
        api = api_of_outputs(found, lambda: client("apigateway"), region, name)
        if api.auth == "jwt":
            raise _no_token(api.url)
        return api
    except ClientError as error:
        if "does not exist" in str(error):
            where = f"in {region}" if region else "in the configured region"
            raise InputError(f"There is no stack {name} {where}; is the region right?") from error
        raise InputError(f"AWS refused: {error}") from error
    except BotoCoreError as error:
        raise InputError(f"AWS cannot be asked for {name}: {error}") from error


def _no_token(url: str) -> InputError:
    return InputError(f"{url} takes bearer tokens: give --token or set {TOKEN}.")


def api_of_outputs(
    found: Mapping[str, str],
    api_gateway: Callable[[], Any],
    region: str | None,
    found_in: str = "",
    token: str | None = None,
) -> Api:
    """The API that the outputs of a FrontDoor stack describe, with its newest key or the token.

    Args:
        api_gateway: makes botocore's client of API Gateway, which is asked for the key.
        token: for an API that takes tokens.
    """
    url, auth = found[outputs.API_URL], found[outputs.API_AUTH]
    if auth == "jwt":
        return Api(url, auth, None, token, region, found_in)
    if key_id := found.get(outputs.API_KEY_ID):
        answer = api_gateway().get_api_key(apiKey=key_id, includeValue=True)
        return Api(url, auth, answer["value"], None, region, found_in)
    return Api(url, auth, None, None, region, found_in)
