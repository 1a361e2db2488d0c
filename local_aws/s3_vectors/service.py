"""The operations of S3 Vectors."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from werkzeug.wrappers import Response

from local_aws import moto_adapter
from local_aws.iam.calls import Call
from local_aws.iam.gate import CALL
from local_aws.s3_vectors.filters import compile_filter
from local_aws.s3_vectors.index import Definition, Found, VectorIndex
from local_aws.s3_vectors.refusals import conflict, invalid, not_found
from local_aws.service_errors import ApiError, error_response
from local_aws.service_models import find_violations

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from local_aws.context import Context
    from local_aws.iam.access import Access

Json: TypeAlias = dict[str, Any]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
_REQUEST_BYTES = 20 * 1024 * 1024
_MOST_BUCKETS = _MOST_INDEXES = 10_000
_TOP_K = 10_000
_QUERY_PAGE = 100
# ListVectors: the default of maxResults, and what a page holds at most.
_LIST_PAGE = 500
_LIST_BYTES = 1 << 20
_NAMES_PAGE = 500
# Operations that use a key, by the errors that botocore's model gives them. Keys cannot be disabled
# here.
_WITH_KEY = {"PutVectors", "GetVectors", "DeleteVectors", "QueryVectors"}
_BUCKET_NAME = re.compile("[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_INDEX_NAME = re.compile("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass
class Bucket:
    """A vector bucket with its indexes, by their names."""

    arn: str
    name: str
    encryption: dict[str, str]
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    indexes: dict[str, VectorIndex] = field(default_factory=dict)
    policy: str | None = None


class S3Vectors:
    """S3 Vectors as a WSGI application.

    Args:
        clock: For the rates of writes.
    """

    def __init__(
        self, context: Context, access: Access, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._clock = clock
        self._lock = threading.RLock()
        self._buckets: dict[str, Bucket] = {}  # by ARN
        self._tags: dict[str, dict[str, str]] = {}
        access.vector_buckets = self
        self._operations: dict[str, Callable[[Call], Json]] = {
            "CreateVectorBucket": self._create_bucket,
            "GetVectorBucket": self._get_bucket,
            "ListVectorBuckets": self._list_buckets,
            "DeleteVectorBucket": self._delete_bucket,
            "PutVectorBucketPolicy": self._put_policy,
            "GetVectorBucketPolicy": self._get_policy,
            "DeleteVectorBucketPolicy": self._delete_policy,
            "CreateIndex": self._create_index,
            "GetIndex": self._get_index,
            "ListIndexes": self._list_indexes,
            "DeleteIndex": self._delete_index,
            "PutVectors": self._put_vectors,
            "GetVectors": self._get_vectors,
            "ListVectors": self._list_vectors,
            "DeleteVectors": self._delete_vectors,
            "QueryVectors": self._query_vectors,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        call: Call = environ[CALL]
        try:
            if len(environ["wsgi.input"].getvalue()) > _REQUEST_BYTES:
                raise invalid("Request payload must have at most 20 MiB")
            _check(call)
            self._check_key(call)
            answer = self._operations[call.operation](call)
        except ApiError as error:
            return error_response(environ, error)(environ, start_response)
        answer = {name: value for name, value in answer.items() if value is not None}
        body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(body, content_type="application/json")(environ, start_response)

    def close(self) -> None:
        """Forgets all vectors."""
        self._buckets.clear()

    def policy(self, arn: str) -> str | None:
        """The policy of the bucket that an ARN is about."""
        bucket = self._buckets.get(arn.partition("/index/")[0])
        return bucket.policy if bucket else None

    def key(self, call: Call, arn: str) -> str | None:
        """The KMS key that encrypts, or will encrypt, what an ARN is about."""
        bucket = self._buckets.get(arn.partition("/index/")[0])
        index = bucket.indexes.get(arn.rpartition("/")[2]) if bucket else None
        wanted = call.parameters.get("encryptionConfiguration")
        found = index.definition.encryption if index else bucket.encryption if bucket else {}
        return (wanted or found).get("kmsKeyArn")

    def _check_key(self, call: Call) -> None:
        """Refuses what needs a key that cannot be used now."""
        if call.operation not in _WITH_KEY:
            return
        key = self._index(call).definition.encryption.get("kmsKeyArn")
        if key is None or f":{self._context.account_id}:" not in key:
            return
        state = moto_adapter.kms_key_state(key)
        if state != "Enabled":
            code = "KmsInvalidStateException" if state else "KmsNotFoundException"
            raise ApiError(f"The KMS key {key} is {state or 'missing'}", code)

    # Buckets

    def _create_bucket(self, call: Call) -> Json:
        name = call.parameters["vectorBucketName"]
        if not _BUCKET_NAME.fullmatch(name):
            raise invalid("Invalid vector bucket name", ("vectorBucketName", "invalid"))
        arn = self._arn(call.region, name)
        with self._lock:
            if arn in self._buckets:
                raise conflict("A vector bucket with the specified name already exists")
            if len(self._buckets) >= _MOST_BUCKETS:
                raise _quota("vector buckets")
            self._buckets[arn] = Bucket(arn, name, _encryption(call.parameters) or _BY_S3)
            self._tags[arn] = dict(call.parameters.get("tags") or {})
        return {"vectorBucketArn": arn}

    def _get_bucket(self, call: Call) -> Json:
        bucket = self._bucket(call)
        return {
            "vectorBucket": {
                **_describe_bucket(bucket),
                "encryptionConfiguration": bucket.encryption,
                "defaultIndexMode": "ENHANCED",
            }
        }

    def _list_buckets(self, call: Call) -> Json:
        here = f":{call.region}:"
        found = {each.name: each for arn, each in self._buckets.items() if here in arn}
        names, token = _page_of_names(call.parameters, found)
        return {
            "vectorBuckets": [_describe_bucket(found[name]) for name in names],
            "nextToken": token,
        }

    def _delete_bucket(self, call: Call) -> Json:
        with self._lock:
            bucket = self._bucket(call)
            if bucket.indexes:
                raise conflict("The specified vector bucket is not empty")
            del self._buckets[bucket.arn], self._tags[bucket.arn]
        return {}

    def _put_policy(self, call: Call) -> Json:
        bucket, policy = self._bucket(call), call.parameters["policy"]
        try:
            valid = isinstance(orjson.loads(policy), dict)
        except orjson.JSONDecodeError:
            valid = False
        if not valid:
            raise invalid("The policy is not valid JSON", ("policy", "invalid"))
        bucket.policy = policy
        return {}

    def _get_policy(self, call: Call) -> Json:
        policy = self._bucket(call).policy
        if policy is None:
            raise not_found("vector bucket policy")
        return {"policy": policy}

    def _delete_policy(self, call: Call) -> Json:
        self._bucket(call).policy = None
        return {}

    # Indexes

    def _create_index(self, call: Call) -> Json:
        given, bucket = call.parameters, self._bucket(call)
        name = given["indexName"]
        if not _INDEX_NAME.fullmatch(name):
            raise invalid("Invalid index name", ("indexName", "invalid"))
        metadata = given.get("metadataConfiguration") or {}
        if metadata.get("textSearchConfigurations"):
            raise _unavailable("full-text search")
        definition = Definition(
            f"{bucket.arn}/index/{name}",
            bucket.name,
            name,
            given["dimension"],
            given["distanceMetric"],
            frozenset(metadata.get("nonFilterableMetadataKeys") or ()),
            _encryption(given) or bucket.encryption,
        )
        with self._lock:
            if name in bucket.indexes:
                raise conflict("An index with the specified name already exists")
            if len(bucket.indexes) >= _MOST_INDEXES:
                raise _quota("indexes")
            bucket.indexes[name] = VectorIndex(definition, self._clock)
            self._tags[definition.arn] = dict(given.get("tags") or {})
        return {"indexArn": definition.arn}

    def _get_index(self, call: Call) -> Json:
        what = self._index(call).definition
        described: Json = {
            **_describe_index(what),
            "dataType": "float32",
            "dimension": what.dimension,
            "distanceMetric": what.metric,
            "encryptionConfiguration": what.encryption,
            "indexMode": "ENHANCED",
        }
        if what.non_filterable:
            keys = sorted(what.non_filterable)
            described["metadataConfiguration"] = {"nonFilterableMetadataKeys": keys}
        return {"index": described}

    def _list_indexes(self, call: Call) -> Json:
        indexes = self._bucket(call).indexes
        names, token = _page_of_names(call.parameters, indexes)
        return {
            "indexes": [_describe_index(indexes[name].definition) for name in names],
            "nextToken": token,
        }

    def _delete_index(self, call: Call) -> Json:
        with self._lock:
            what = self._index(call).definition
            bucket = self._buckets[what.arn.partition("/index/")[0]]
            del bucket.indexes[what.name], self._tags[what.arn]
        return {}

    # Vectors

    def _put_vectors(self, call: Call) -> Json:
        self._index(call).put(call.parameters["vectors"])
        return {}

    def _get_vectors(self, call: Call) -> Json:
        index, given = self._index(call), call.parameters
        found = index.get(given["keys"])
        return {"vectors": [_show(index, each, given) for each in found]}

    def _list_vectors(self, call: Call) -> Json:
        index, given = self._index(call), call.parameters
        count, number = given.get("segmentCount"), given.get("segmentIndex")
        if (count is None) != (number is None) or (count or 1) <= (number or 0):
            raise invalid("segmentIndex must be given with segmentCount, and be less than it")
        most = given.get("maxResults") or _LIST_PAGE
        shown: list[Json] = []
        size, token = 0, None
        for found in index.scan(_read_token(given), number or 0, count or 1):
            if len(shown) == most or size > _LIST_BYTES:
                token = _write_token(found.row)
                break
            shown.append(_show(index, found, given))
            size += len(found.key) + len(index.metadata(found.row)) + 4 * index.definition.dimension
        return {"vectors": shown, "nextToken": token}

    def _delete_vectors(self, call: Call) -> Json:
        self._index(call).delete(call.parameters["keys"])
        return {}

    def _query_vectors(self, call: Call) -> Json:
        index, given = self._index(call), call.parameters
        if given.get("queryTexts"):
            raise _unavailable("full-text search")
        if given.get("queryVector") is None:
            raise invalid("A request must include queryVector, queryTexts, or both")
        if given["topK"] > _TOP_K:
            raise invalid(f"topK must be at most {_TOP_K}", ("topK", "too large"))
        if given.get("queryMode") == "CLASSIC":
            raise invalid("CLASSIC cannot be specified for an ENHANCED index", ("queryMode", ""))
        written = given.get("filter")
        hidden = index.definition.non_filterable
        test = None if written is None else compile_filter(written, hidden)
        found = index.nearest(given["queryVector"].get("float32"), given["topK"], test)
        start = _read_token(given)
        page = found[start : start + _QUERY_PAGE]
        vectors = []
        for each in page:
            shown = _show(index, each, {**given, "returnData": False})
            if given.get("returnDistance"):
                shown["distance"] = each.distance
            vectors.append(shown)
        more = start + _QUERY_PAGE < len(found)
        return {
            "vectors": vectors,
            "distanceMetric": index.definition.metric,
            "nextToken": _write_token(start + _QUERY_PAGE) if more else None,
        }

    # Tags

    def _tag(self, call: Call) -> Json:
        self._tags_of(call).update(call.parameters["tags"])
        return {}

    def _untag(self, call: Call) -> Json:
        for key in call.parameters["tagKeys"]:
            self._tags_of(call).pop(key, None)
        return {}

    def _list_tags(self, call: Call) -> Json:
        return {"tags": self._tags_of(call)}

    def _tags_of(self, call: Call) -> dict[str, str]:
        tags = self._tags.get(call.parameters["resourceArn"])
        if tags is None:
            raise not_found("resource")
        return tags

    # What a call names

    def _arn(self, region: str, name: Any) -> str:
        return f"arn:aws:s3vectors:{region}:{self._context.account_id}:bucket/{name}"

    def _bucket(self, call: Call) -> Bucket:
        name, arn = (call.parameters.get(f"vectorBucket{each}") for each in ("Name", "Arn"))
        if (name is None) == (arn is None):
            raise invalid("Must specify either vectorBucketName or vectorBucketArn but not both")
        bucket = self._buckets.get(arn or self._arn(call.region, name))
        if bucket is None:
            raise not_found("vector bucket")
        return bucket

    def _index(self, call: Call) -> VectorIndex:
        given = call.parameters
        bucket, name, arn = map(given.get, ("vectorBucketName", "indexName", "indexArn"))
        if (arn is None) == (bucket is None or name is None) or (arn and (bucket or name)):
            raise invalid("Must specify either indexArn or both vectorBucketName and indexName")
        bucket_arn, _, index_name = (
            arn.partition("/index/") if arn else (self._arn(call.region, bucket), "", name)
        )
        found = self._buckets.get(bucket_arn)
        if found is None or index_name not in found.indexes:
            raise not_found("index")
        return found.indexes[index_name]


_BY_S3 = {"sseType": "AES256"}


def _check(call: Call) -> None:
    """Refuses what the service's model does not allow; numbers of vectors are checked later."""
    request: Mapping[str, Any] = call.parameters
    if call.operation == "PutVectors" and isinstance(request.get("vectors"), list):
        light = [
            {**each, "data": {**each["data"], "float32": []}}
            if isinstance(each, dict)
            and isinstance(each.get("data"), dict)
            and isinstance(each["data"].get("float32"), list)
            else each
            for each in request["vectors"]
        ]
        request = {**request, "vectors": light}
    errors = find_violations("s3vectors", call.operation, dict(request))
    if errors:
        noun = "error" if len(errors) == 1 else "errors"
        raise invalid(
            f"{len(errors)} validation {noun} detected: {'; '.join(errors)}",
            *((error.partition(" at '")[2].partition("'")[0], error) for error in errors),
        )


def _encryption(given: Mapping[str, Any]) -> dict[str, str]:
    """What a request says about encryption; nothing if it says nothing."""
    wanted: dict[str, str] = given.get("encryptionConfiguration") or {}
    if (wanted.get("sseType") == "aws:kms") != ("kmsKeyArn" in wanted):
        raise invalid(
            "kmsKeyArn is allowed if and only if sseType is aws:kms",
            ("encryptionConfiguration", "invalid"),
        )
    return wanted


def _page_of_names(given: Mapping[str, Any], found: Iterable[str]) -> tuple[list[str], str | None]:
    """The names of a page, in order, and the token of the next one."""
    prefix, most = given.get("prefix") or "", given.get("maxResults") or _NAMES_PAGE
    names = sorted(name for name in found if name.startswith(prefix))
    start = _read_token(given)
    more = start + most < len(names)
    return names[start : start + most], _write_token(start + most) if more else None


def _write_token(position: int) -> str:
    return base64.urlsafe_b64encode(f"from {position}".encode()).decode()


def _read_token(given: Mapping[str, Any]) -> int:
    token = given.get("nextToken")
    if token is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("from "))
    except ValueError:
        raise invalid("Invalid nextToken", ("nextToken", "invalid")) from None


def _show(index: VectorIndex, found: Found, given: Mapping[str, Any]) -> Json:
    shown: Json = {"key": found.key}
    if given.get("returnData"):
        shown["data"] = {"float32": index.vector(found.row)}
    metadata = index.metadata(found.row)
    if given.get("returnMetadata") and metadata:
        shown["metadata"] = orjson.Fragment(metadata)
    return shown


def _describe_bucket(bucket: Bucket) -> Json:
    return {
        "vectorBucketName": bucket.name,
        "vectorBucketArn": bucket.arn,
        "creationTime": bucket.created.timestamp(),
    }


def _describe_index(what: Definition) -> Json:
    return {
        "vectorBucketName": what.bucket,
        "indexName": what.name,
        "indexArn": what.arn,
        "creationTime": what.created.timestamp(),
    }


def _quota(what: str) -> ApiError:
    return ApiError(f"There are too many {what}", "ServiceQuotaExceededException", 402)


def _unavailable(what: str) -> ApiError:
    return invalid(f"The local AWS has no {what} of S3 Vectors")
