"""Where the client finds the API, and who it says is asking."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.session import Session

from faq_search import InputError, find_api

URL = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1/"


@pytest.fixture
def local(tmp_path):
    """What `make local` wrote."""
    file = tmp_path / "api.json"
    file.write_text('{"url": "http://local", "auth": "api_key", "api_key": "local-key"}')
    return file


def test_arguments_come_first(local):
    environment = {"FAQ_SEARCH_URL": "https://b", "FAQ_SEARCH_API_KEY": "key of b"}
    found = find_api(environment, url="https://a", token="t", local_file=local)
    assert (found.url, found.auth, found.token, found.api_key) == ("https://a", "jwt", "t", None)


def test_then_the_environment(local):
    environment = {"FAQ_SEARCH_URL": "https://b", "FAQ_SEARCH_API_KEY": "key of b"}
    found = find_api(environment, local_file=local)
    assert (found.url, found.api_key) == ("https://b", "key of b")
    assert find_api(environment, iam=True, local_file=local).auth == "iam"
    token = {"FAQ_SEARCH_URL": "https://b", "FAQ_SEARCH_TOKEN": "t"}
    assert find_api(token, local_file=local).auth == "jwt"


def test_then_the_local_deployment(local, tmp_path, monkeypatch):
    assert find_api({}, local_file=local).api_key == "local-key"
    assert find_api({"LOCAL_STATE": str(tmp_path)}).found_in == str(local)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".local").mkdir()
    local.rename(tmp_path / ".local/api.json")
    assert find_api({}).url == "http://local"


def test_a_local_deployment_that_takes_tokens(local):
    local.write_text('{"url": "http://local", "auth": "jwt", "api_key": null}')
    assert find_api({"FAQ_SEARCH_TOKEN": "t"}, local_file=local).token == "t"
    assert find_api({}, token="t", local_file=local).auth == "jwt"
    with pytest.raises(InputError, match="takes bearer tokens: give --token"):
        find_api({}, local_file=local)


def test_a_key_goes_only_to_the_url_it_belongs_to(local):
    with pytest.raises(InputError, match="No API key for https://elsewhere"):
        find_api({}, url="https://elsewhere", local_file=local)
    environment = {"FAQ_SEARCH_API_KEY": "k"}
    assert find_api(environment, url="https://elsewhere").api_key == "k"
    with pytest.raises(InputError, match="No API key for https://elsewhere"):
        find_api({**environment, "FAQ_SEARCH_URL": "https://b"}, url="https://elsewhere")


def test_keys_are_not_shown(local):
    assert "local-key" not in repr(find_api({}, local_file=local))


@pytest.mark.parametrize(
    ("environment", "given", "says"),
    [
        ({}, {}, "make local"),
        ({}, {"url": "https://a", "stage": "dev"}, "not both"),
        ({"FAQ_SEARCH_URL": "https://a", "FAQ_SEARCH_STAGE": "dev"}, {}, "unset one"),
        ({"FAQ_SEARCH_API_KEY": "k", "FAQ_SEARCH_TOKEN": "t"}, {"url": "https://a"}, "unset one"),
        ({}, {"url": "https://a", "api_key": "k", "iam": True}, "Give one of"),
    ],
)
def test_what_is_missing_or_too_much(environment, given, says, tmp_path):
    with pytest.raises(InputError, match=says):
        find_api(environment, local_file=tmp_path / "none.json", **given)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_broken_file(local, text):
    local.write_text(text)
    with pytest.raises(InputError, match=r"api\.json"):
        find_api({}, local_file=local)


def test_a_signed_local_deployment_takes_the_credentials_of_the_local_aws(
    local, tmp_path, monkeypatch
):
    local.write_text('{"url": "http://local/v1", "auth": "iam", "region": "us-east-1"}')
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = LOCAL\naws_secret_access_key = x\n"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "MINE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    found = find_api({}, local_file=local)
    with found.connect() as faq:
        signer = faq._transport._options.signer
        assert "Credential=LOCAL/" in signer("GET", "http://local/v1/health", None)["Authorization"]


class Aws:
    """CloudFormation and API Gateway, with one stack or none."""

    def __init__(self, error=None, **outputs):
        self.error = error
        self.outputs = outputs

    def create_client(self, service, region_name):
        assert service in {"cloudformation", "apigateway"}
        self.region = region_name
        return self

    def describe_stacks(self, StackName):  # noqa: N803
        assert StackName == "FaqSearch-dev-FrontDoor"
        if self.error:
            raise self.error
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in self.outputs.items()]
        return {"Stacks": [{"Outputs": outputs}]}

    def get_api_key(self, apiKey, includeValue):  # noqa: N803
        assert includeValue
        return {"value": f"value of {apiKey}"}


@pytest.fixture
def aws(monkeypatch):
    def deploy(*arguments, **outputs):
        aws = Aws(*arguments, **outputs)
        monkeypatch.setattr(
            Session, "create_client", lambda _, *args, **kw: aws.create_client(*args, **kw)
        )
        return aws

    return deploy


def test_a_stage_with_keys(aws):
    stage = aws(ApiUrl=URL, ApiAuth="api_key", ApiKeyId="k1")
    found = find_api({}, stage="dev", region="eu-west-1")
    assert (found.url, found.auth, found.api_key) == (URL, "api_key", "value of k1")
    assert (found.found_in, stage.region) == ("FaqSearch-dev-FrontDoor", "eu-west-1")
    environment = {"FAQ_SEARCH_STAGE": "dev", "FAQ_SEARCH_API_KEY": "own"}
    assert find_api(environment).api_key == "own"
    of_another = {"FAQ_SEARCH_URL": "https://b", "FAQ_SEARCH_API_KEY": "key of b"}
    assert find_api(of_another, stage="dev").api_key == "value of k1"


def test_a_stage_with_signed_requests(aws):
    aws(ApiUrl=URL, ApiAuth="iam")
    assert find_api({}, stage="dev").auth == "iam"


def test_a_stage_with_tokens(aws):
    aws(ApiUrl=URL, ApiAuth="jwt")
    with pytest.raises(InputError, match="FAQ_SEARCH_TOKEN"):
        find_api({}, stage="dev")
    assert find_api({}, stage="dev", token="t").token == "t"


def refusal(message):
    return ClientError({"Error": {"Code": "X", "Message": message}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (refusal("Stack with id FaqSearch-dev-FrontDoor does not exist"), "is the region right"),
        (refusal("Access denied."), "AWS refused: .*Access denied"),
        (NoCredentialsError(), "Unable to locate credentials"),
        (None, "is its deployment complete"),
    ],
)
def test_a_stage_that_cannot_be_found(aws, error, says):
    aws(error)
    with pytest.raises(InputError, match=says):
        find_api({}, stage="dev", region="eu-west-1")
