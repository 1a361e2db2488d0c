"""Presigned URLs in web pages: the bucket's rules decide, as on S3, and the signature as ever."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from local_aws.server import LocalAws

PAGE = "https://abc.execute-api.us-east-1.amazonaws.com"
EVIL = "https://evil.example"
RULES = [
    {
        "AllowedOrigins": ["https://*.execute-api.us-east-1.amazonaws.com"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["content-type", "x-custom-*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3000,
    },
    {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]},
]


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with LocalAws(tmp_path_factory.mktemp("aws")) as running:
        s3 = running.context.client("s3")
        for bucket in ("shown", "closed"):
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key="a/b.txt", Body=b"hello")
        s3.put_bucket_cors(Bucket="shown", CORSConfiguration={"CORSRules": RULES})
        yield running


def presigned(aws: LocalAws, operation: str, bucket: str = "shown", key: str = "a/b.txt") -> str:
    key_of = aws.context.administrator
    s3 = boto3.client(
        "s3",
        endpoint_url=aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=key_of.id,
        aws_secret_access_key=key_of.secret,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )
    url = urlsplit(s3.generate_presigned_url(operation, {"Bucket": bucket, "Key": key}))
    return f"{url.path}?{url.query}"


def send(aws, method, target, body=None, **headers):
    connection = http.client.HTTPConnection(urlsplit(aws.endpoint_url).netloc)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, target, body, sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def preflight(aws, target, origin=PAGE, method="PUT", headers="content-type"):
    asked = {"Access_Control_Request_Method": method}
    if headers:
        asked["Access_Control_Request_Headers"] = headers
    return send(aws, "OPTIONS", target, Origin=origin, Sec_Fetch_Site="cross-site", **asked)


def test_a_page_that_a_rule_names_uploads_and_reads(aws):
    target = presigned(aws, "put_object", key="new.txt")
    answer, _ = preflight(aws, target)
    assert answer.status == 200
    assert answer.getheader("Access-Control-Allow-Origin") == PAGE
    assert answer.getheader("Access-Control-Allow-Methods") == "GET, PUT"
    assert answer.getheader("Access-Control-Allow-Headers") == "content-type"
    assert answer.getheader("Access-Control-Max-Age") == "3000"
    assert "Origin" in answer.getheader("Vary")
    answer, _ = send(aws, "PUT", target, b"x", Origin=PAGE, Content_Type="application/jsonl")
    assert answer.status == 200
    assert answer.getheader("Access-Control-Allow-Origin") == PAGE
    assert answer.getheader("Access-Control-Expose-Headers") == "ETag"
    assert answer.getheader("ETag")
    answer, content = send(
        aws, "GET", presigned(aws, "get_object", key="new.txt"), Origin=PAGE, Range="bytes=0-0"
    )
    assert (answer.status, content) == (206, b"x")
    assert answer.headers.get_all("Access-Control-Allow-Origin") == [PAGE]


@pytest.mark.parametrize(
    ("bucket", "changes"),
    [
        ("shown", {"origin": EVIL}),
        ("shown", {"origin": "https://abc.execute-api.eu-west-1.amazonaws.com"}),
        ("shown", {"method": "DELETE"}),
        ("shown", {"headers": "content-type, x-amz-acl"}),
        ("closed", {}),
        ("missing", {}),
    ],
)
def test_a_preflight_that_no_rule_allows_is_refused(aws, bucket, changes):
    answer, content = preflight(aws, presigned(aws, "put_object", bucket), **changes)
    assert answer.status == 403
    assert answer.getheader("Access-Control-Allow-Origin") is None
    assert b"<Code>AccessForbidden</Code>" in content


def test_names_of_headers_may_have_a_star_and_any_case(aws):
    target = presigned(aws, "put_object")
    assert preflight(aws, target, headers="Content-Type, X-Custom-One")[0].status == 200
    assert preflight(aws, target, headers="")[0].status == 200


def test_any_origin_is_answered_as_any(aws):
    answer, _ = preflight(aws, presigned(aws, "head_object"), EVIL, "HEAD", "")
    assert answer.getheader("Access-Control-Allow-Origin") == "*"
    assert answer.getheader("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize(("bucket", "origin"), [("shown", EVIL), ("closed", PAGE)])
def test_without_a_rule_the_request_is_answered_and_the_page_cannot_read_it(aws, bucket, origin):
    """As on S3: the URL is the permission."""
    answer, content = send(aws, "GET", presigned(aws, "get_object", bucket), Origin=origin)
    assert (answer.status, content) == (200, b"hello")
    assert answer.getheader("Access-Control-Allow-Origin") is None


def test_nothing_else_is_open_to_pages(aws):
    target = presigned(aws, "put_object", key="planted.txt")
    spoiled = target.replace("X-Amz-Signature=", "X-Amz-Signature=0")
    path = target.partition("?")[0]
    elsewhere = target.replace(path, "/")
    other_service = target.replace("%2Fs3%2F", "%2Fsts%2F")
    claimed = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
    for method, asked, headers in (
        ("PUT", path, {}),
        ("PUT", spoiled, {}),
        ("PUT", elsewhere, {}),
        ("PUT", other_service, {}),
        ("PUT", target, claimed),
        ("PUT", target, {"X-Amz-Target": "AmazonSSM.PutParameter"}),
        ("GET", target, {}),
        ("POST", target, {}),
        ("DELETE", target, {}),
        ("PUT", target, {"Host": "evil.example"}),
    ):
        answer, _ = send(aws, method, asked, b"x", Origin=PAGE, **headers)
        assert answer.status == 403, (method, asked, headers)
    s3 = aws.context.client("s3")
    assert s3.list_objects_v2(Bucket="shown", Prefix="planted")["KeyCount"] == 0
