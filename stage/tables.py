"""The tables of a settings file: what each key means, its default and its bounds."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from corpus.reader import STANDARD_SUFFIXES, Format
from stage.instance_types import is_gpu

Tag = Annotated[str, Field(max_length=256)]
Price = Annotated[float, Field(ge=0)]
# A key's name: its caller's, and after a dot what tells the caller's keys apart.
KeyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}(\.[a-z0-9]{1,8})?$")]
Text = Annotated[str, Field(pattern=r"^\S{1,256}$")]
_ORIGIN = re.compile(
    r"(https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(?!:443$)|http://(localhost|127\.0\.0\.1)(?!:80$))"
    r"(:\d{1,5})?"
)


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(
            "must be an origin such as https://www.example.com, as browsers send it: without path,"
            " final slash, capitals, `*` or the usual port; http only for localhost and 127.0.0.1"
        )
    return value


Origin = Annotated[str, AfterValidator(_origin)]
Cron = Annotated[str, Field(pattern=r"^\S+( \S+){5}$")]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Account = Annotated[str, Field(pattern=r"^\d{12}$")]
VpcEndpoint = Annotated[str, Field(pattern=r"^vpce-[0-9a-f]{8,17}$")]
S3Prefix = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]/(.*/)?$")]


def _network_cidr(value: str) -> str:
    try:
        ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError("must be an IPv4 network such as 10.0.0.0/20") from error
    return value


Cidr = Annotated[str, AfterValidator(_network_cidr)]

# A function's environment holds 4 KB.
_MAX_JWKS_CHARACTERS = 3_000


class Table(BaseModel):
    """Refuses unknown keys; immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Hyperparameters(Table):
    """How the bake encodes.

    batch_size: texts encoded at once (default 64).
    max_seq_length: tokens a text is cut to; None (default) is the model's own limit.
    store_text: keep questions and answers beside the vectors (default true); without them the
        API answers with ids and scores alone.
    """

    batch_size: int = Field(64, ge=1, le=1024)
    max_seq_length: int | None = Field(None, ge=8, le=8192)
    store_text: bool = True


class ModelSettings(Table):
    """The JumpStart model.

    precision: what vectors are computed in, `fp32` (default), `bf16`, `fp16` or `int8`. The bake
        accepts less than fp32 only where it loses no top-3 accuracy on the corpus. An instance
        type without instructions for it bakes nothing, and serves in fp32. See
        docs/configuration.md.
    """

    id: str
    precision: Literal["fp32", "bf16", "fp16", "int8"] = "fp32"
    hyperparameters: Hyperparameters = Hyperparameters()  # type: ignore[call-arg]


class SearchSettings(Table):
    """How `POST /search` ranks entries, and when it withholds an answer; see docs/ranking.md.

    engine: what `POST /search` asks: `endpoint` (default), whose artifact holds the corpus, or
        `s3_vectors`, an index of Amazon S3 Vectors, for corpora that no endpoint can hold; see
        docs/corpus.md.
    ranking: `hybrid` (default) compares a query with an entry's question, with its answer and with
        both in one text, by their vectors and by shared words; `vectors` by the vectors alone;
        `answer` and `question` compare it, in both ways, with answers or questions alone.
    min_score: hits that score less are left out (default -1: none).
    margin: there is no answer unless the best hit is this far ahead of the next one with another
        question (default 0: there always is).
    keep_unanswered: write questions without an answer to an encrypted log of their own (default
        false); see docs/corpus.md for what that means for privacy.
    unanswered_retention_days: how long they are kept (default 30).
    """

    engine: Literal["endpoint", "s3_vectors"] = "endpoint"
    ranking: Literal["hybrid", "vectors", "answer", "question"] = "hybrid"
    min_score: float = Field(-1, ge=-1, le=1)
    margin: float = Field(0, ge=0, le=1)
    keep_unanswered: bool = False
    # What CloudWatch Logs offers, up to a year.
    unanswered_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365] = 30

    @property
    def has_vector_index(self) -> bool:
        """Whether the corpus is in an index of S3 Vectors, and not in the artifact."""
        return self.engine == "s3_vectors"

    @property
    def baked_ranking(self) -> str:
        """What the bake prepares: `vectors` needs no other index than `hybrid`."""
        return "hybrid" if self.ranking == "vectors" else self.ranking


class CorpusSettings(Table):
    """Either a local file (`path`), or an S3 object pinned by `version_id` and `sha256`.

    encoding: of a local text file; by default UTF-8, or UTF-16 by its mark.
    map: which column of a local file, or which key, is the `question` (one or several), the
        `answer`, the `id`, or a field; by default it is found by its name.
    """

    path: Path | None = None
    encoding: str | None = Field(None, min_length=1)
    map: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    s3_uri: str | None = Field(None, pattern=r"^s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]/.+[^/]$")
    version_id: str | None = Field(None, min_length=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        pinned = (self.s3_uri, self.version_id, self.sha256)
        if self.path is not None and any(pinned):
            raise ValueError("give either path, or s3_uri with version_id and sha256, not both")
        if self.path is None and not all(pinned):
            raise ValueError(
                "give path, or all of s3_uri, version_id and sha256"
                " (`python -m commands pin-corpus s3://bucket/key` prints them)"
            )
        if self.s3_uri is not None:
            if self.encoding or self.map:
                raise ValueError(
                    "encoding and map are for a local file; of one in S3, upload what"
                    " `python -m corpus convert` makes of it"
                )
            if Path(self.s3_uri).suffix.lower() not in STANDARD_SUFFIXES:
                raise ValueError(
                    f"the bake cannot read {Path(self.s3_uri).name}; upload what `python -m corpus"
                    " convert` makes of it"
                )
        return self

    @property
    def format(self) -> Format:
        """How the local file is to be read."""
        return corpus_format(self.encoding, self.map)


def corpus_format(encoding: str | None, columns: Mapping[str, str | Sequence[str]]) -> Format:
    """`encoding` and `map` of the settings as the reader takes them."""
    return Format(
        encoding,
        {role: [names] if isinstance(names, str) else names for role, names in columns.items()},
    )


class BakeSettings(Table):
    """The training job that encodes the corpus.

    volume_size_gb: disk of instance types without local storage, in GB (default 30).
    max_runtime_minutes: the job is stopped after this long (default 45, at most 49: the custom
        resource that waits for the job gives up after 50 minutes).
    reuse: a bake id whose artifact is served as it is, without training (`make rollback` names
        one for a single deployment; here it stays).
    """

    instance_type: str
    volume_size_gb: int = Field(30, ge=10, le=1024)
    max_runtime_minutes: int = Field(45, ge=5, le=49)
    reuse: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")


class ScalingSettings(Table):
    """How many instances of an endpoint there may be, by how busy they are.

    min_instances, max_instances: the bounds (the least is 1: an endpoint without instances
        answers nothing).
    concurrent_requests: requests at once that one instance should have (default 4). More are
        added above it within minutes, and taken away below it.
    """

    min_instances: int = Field(1, ge=1, le=100)
    max_instances: int = Field(ge=1, le=100)
    concurrent_requests: int = Field(4, ge=1, le=100)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_instances < self.min_instances:
            raise ValueError(
                f"max_instances ({self.max_instances}) is below min_instances"
                f" ({self.min_instances})"
            )
        return self


class EndpointSettings(Table):
    """One endpoint: an instance type and how many of it.

    instance_count: default 1; with scaling, what the endpoint starts with, default its
        min_instances.
    scaling: lets the count follow the load (default: it stays as it is).
    host_image: of a GPU instance, by the name that SageMaker gives its host images (default: the
        newest that it names). It brings the driver.
    device: `cpu` or `gpu`, what the endpoint must compute on (default: a GPU where the instance
        type has one); the smoke test fails it otherwise. Only the local AWS, which has no GPUs,
        needs another value.
    max_tokens: of all texts of one request (default: what it can encode in time, by
        stage/capacity.py).
    """

    instance_type: str
    instance_count: int = Field(1, ge=1, le=100)
    host_image: str | None = Field(None, pattern=r"^[a-z0-9-]+$", max_length=63)
    scaling: ScalingSettings | None = None
    device: Literal["cpu", "gpu"] | None = None
    max_tokens: int | None = Field(None, ge=1_000, le=100_000_000)

    @model_validator(mode="before")
    @classmethod
    def _begin_with_the_least(cls, values: Any) -> Any:
        if isinstance(values, dict) and "instance_count" not in values:
            scaling = values.get("scaling")
            least = scaling.get("min_instances", 1) if isinstance(scaling, dict) else 1
            return {**values, "instance_count": least}
        return values

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        bounds = self.scaling
        if bounds and not bounds.min_instances <= self.instance_count <= bounds.max_instances:
            raise ValueError(
                f"instance_count ({self.instance_count}) is not within the bounds of scaling"
                f" ({bounds.min_instances} to {bounds.max_instances})"
            )
        return self

    @model_validator(mode="after")
    def _host_image_of_a_gpu(self) -> Self:
        if self.host_image is not None and not is_gpu(self.instance_type):
            raise ValueError(f"host_image: {self.instance_type} has no GPU; leave it out")
        return self

    @property
    def least_instances(self) -> int:
        """What an update can count on."""
        return self.scaling.min_instances if self.scaling else self.instance_count

    @property
    def most_instances(self) -> int:
        """What it may grow to."""
        return self.scaling.max_instances if self.scaling else self.instance_count


class UpdateSettings(Table):
    """How an endpoint moves to a new model, and what takes it back.

    canary_percent: share of the fleet that takes the new model first, where there are two
        instances or more (default 50, which is the most; of one instance all moves at once).
    watch_seconds: how long the alarms are watched, after the canary and again after the rest,
        before the old instances go (default 300; CloudWatch needs a minute or two to notice).
    max_model_errors: model errors and refused requests a minute (default 5),
        max_model_latency_ms: 99th percentile in two of three minutes (default 2000), above which
        the update is taken back. Wrong answers to the probe do so too.
    """

    canary_percent: int = Field(50, ge=1, le=50)
    watch_seconds: int = Field(300, ge=0, le=3600)
    max_model_errors: int = Field(5, ge=1)
    max_model_latency_ms: int = Field(2000, ge=10, le=60_000)


class ScheduleSettings(Table):
    """When endpoints are switched on and off: cron expressions of EventBridge Scheduler.

    on, off: six fields, e.g. `0 7 ? * MON-FRI *`. timezone: IANA name (default UTC).
    """

    on: Cron
    off: Cron
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _known_timezone(self) -> Self:
        zones = available_timezones()  # none on a machine without a time zone database
        if zones and self.timezone not in zones:
            raise ValueError(f"timezone ({self.timezone!r}) is not an IANA time zone")
        return self


class BatchSettings(Table):
    """Batch transform: for corpora too large for a request.

    instance_type: default the bake's. instance_count: instances a batch runs on unless it asks
        for another number (default 1), max_instance_count: the most it may ask for (default 10).
    max_running, max_running_per_caller: batches that callers of the API may have under way, all
        together (default 20) and each (default 5).
    max_instances, max_instances_per_caller: instances that these may use (default 20, or
        max_instance_count if that is more; and max_instance_count).
    rate_limit, burst_limit: requests for a batch a second, steady (default 1), and at once
        (default 5), of each caller with an API key and of all others together.
    callers: who may start and stop batches (default: every caller). With `api_key` the names of
        callers in api_keys; with `iam` ARNs of roles and users; with `jwt` scopes, of which a
        token has one.
    administrators: who may also see and stop the batches of others, in the same terms (default:
        nobody).
    input_locations: S3 prefixes that a request may name, beside the batch bucket itself.
    retention_days: inputs and results expire after this long (default 30).
    """

    instance_type: str | None = None
    instance_count: int = Field(1, ge=1, le=100)
    max_instance_count: int = Field(10, ge=1, le=100)
    max_running: int = Field(20, ge=1, le=100)
    max_running_per_caller: int = Field(5, ge=1, le=100)
    max_instances: int | None = Field(None, ge=1, le=1000)
    max_instances_per_caller: int | None = Field(None, ge=1, le=1000)
    rate_limit: float = Field(1, ge=0.1, le=100)
    burst_limit: int = Field(5, ge=1, le=100)
    callers: tuple[Text, ...] = Field((), max_length=20)
    administrators: tuple[Text, ...] = Field((), max_length=20)
    input_locations: tuple[S3Prefix, ...] = ()
    retention_days: int = Field(30, ge=1, le=3650)

    @property
    def most_instances(self) -> int:
        """Of all callers' batches."""
        return self.max_instances or max(20, self.max_instance_count)

    @property
    def most_instances_per_caller(self) -> int:
        """Of one caller's batches."""
        return self.max_instances_per_caller or self.max_instance_count

    @model_validator(mode="after")
    def _within_most(self) -> Self:
        if self.instance_count > self.max_instance_count:
            raise ValueError(
                f"instance_count ({self.instance_count}) is above max_instance_count"
                f" ({self.max_instance_count})"
            )
        for name in ("max_instances", "max_instances_per_caller"):
            bound = getattr(self, name)
            if bound is not None and bound < self.max_instance_count:
                raise ValueError(
                    f"{name} ({bound}) is below max_instance_count ({self.max_instance_count}), so"
                    " no batch could have as many"
                )
        return self


class Jwk(BaseModel):
    """A public key, as a JWKS has it; other members are not needed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kty: Literal["RSA", "EC"]
    kid: str | None = None
    alg: Literal["RS256", "ES256"] | None = None
    n: str | None = None
    e: str | None = None
    crv: Literal["P-256"] | None = None
    x: str | None = None
    y: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_secret(cls, values: Any) -> Any:
        if isinstance(values, dict) and "d" in values:
            raise ValueError("this is a private key; give the public one, and replace this pair")
        return values

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.n and self.e if self.kty == "RSA" else self.crv and self.x and self.y):
            needed = "n and e" if self.kty == "RSA" else "crv, x and y"
            raise ValueError(f"a key of kty {self.kty} has {needed}")
        return self


class JwtSettings(Table):
    """The OpenID Connect issuer whose tokens open the API.

    issuer: its URL, as in the claim `iss`.
    audience: a token names one of these in `aud` or, without that, in `client_id`.
    scopes: a token has each of these in `scope` or `scp` (default: none is asked for).
    jwks: its public keys, a table each (default: fetched from where its discovery document says).
    """

    issuer: str = Field(
        # Without TLS only on this machine, for tests.
        pattern=r"^(https://[^\s?#/]+|http://(127\.0\.0\.1|localhost)(:\d+)?)(/[^\s?#]*)?$"
    )
    audience: tuple[Text, ...] = Field(min_length=1, max_length=10)
    scopes: tuple[Text, ...] = Field((), max_length=10)
    jwks: tuple[Jwk, ...] = Field((), max_length=10)

    @property
    def jwks_json(self) -> str:
        """The keys as a JSON list."""
        keys = [key.model_dump(exclude_none=True) for key in self.jwks]
        return json.dumps(keys, separators=(",", ":"))

    @model_validator(mode="after")
    def _small(self) -> Self:
        if len(self.jwks_json) > _MAX_JWKS_CHARACTERS:
            raise ValueError(
                f"jwks: {len(self.jwks_json):,} characters as JSON; at most"
                f" {_MAX_JWKS_CHARACTERS:,} fit into the function's environment"
            )
        return self


class WafSettings(Table):
    """A web ACL of AWS WAF before the API.

    requests_per_address: the most that one address may send in five minutes (default 2000); above
        it, requests get 429.
    """

    requests_per_address: int = Field(2_000, ge=10, le=2_000_000_000)


class ApiSettings(Table):
    """The front door.

    auth: `api_key` (header x-api-key, or a bearer token), `iam` (SigV4-signed requests) or `jwt`
        (a bearer token of an OpenID Connect issuer).
    jwt: that issuer.
    allowed_accounts: with `iam`, the accounts whose roles and users may call, if IAM lets them
        (default: this stage's own account). Name the stage's own among them, if it is one.
    allowed_vpc_endpoints: with network.private_api, further VPC endpoints through which the API may
        be called (default: the stage's own alone).
    rate_limit: requests a second, steady; burst_limit: requests at once.
    key_rate_limit, key_burst_limit: the same of each API key (default: rate_limit, burst_limit).
    key_quota: requests of each API key in a key_quota_period, `day`, `week` or `month` (default:
        no quota; month).
    api_keys: a key each; the client commands use the last. A name is the caller's; further keys of
        the same caller have a dot and something more, as `first.2`. Rotation: add one, deploy,
        hand it out, remove the old one, deploy.
    reserved_concurrency: concurrent requests, kept free for this API and its upper bound
        (default: neither; an account must keep 100 unreserved).
    console: serve a page below `/console` that asks this API (default false); see
        docs/console.md.
    cors_origins: web pages elsewhere that may ask this API, such as `https://www.example.com`
        (default: none). `http` only for localhost and 127.0.0.1.
    snap_start: whether the API's functions start from a snapshot of the imported function, which
        is paid for by the hour (default: no).
    waf: a web ACL before the API, which is paid for by the month (default: none).
    """

    auth: Literal["api_key", "iam", "jwt"] = "iam"
    jwt: JwtSettings | None = None
    allowed_accounts: tuple[Account, ...] = Field((), max_length=20)
    allowed_vpc_endpoints: tuple[VpcEndpoint, ...] = Field((), max_length=20)
    rate_limit: int = Field(20, ge=1, le=10_000)
    burst_limit: int = Field(40, ge=1, le=5_000)
    key_rate_limit: int | None = Field(None, ge=1, le=10_000)
    key_burst_limit: int | None = Field(None, ge=1, le=5_000)
    key_quota: int | None = Field(None, ge=1, le=1_000_000_000)
    key_quota_period: Literal["day", "week", "month"] = "month"
    api_keys: tuple[KeyName, ...] = Field(("first",), min_length=1, max_length=10)
    reserved_concurrency: int | None = Field(None, ge=1, le=10_000)
    console: bool = False
    cors_origins: tuple[Origin, ...] = Field((), max_length=20)
    snap_start: bool = False
    waf: WafSettings | None = None

    @property
    def key_callers(self) -> set[str]:
        """Whose the API keys are."""
        return {name.partition(".")[0] for name in self.api_keys}

    @model_validator(mode="after")
    def _different_keys(self) -> Self:
        if len(set(self.api_keys)) < len(self.api_keys):
            raise ValueError("api_keys: each name once")
        return self

    @model_validator(mode="after")
    def _accounts_of_signed_requests(self) -> Self:
        if self.allowed_accounts and self.auth != "iam":
            raise ValueError(
                f'allowed_accounts: with auth = "{self.auth}" requests name no account; only with'
                ' "iam"'
            )
        return self

    @model_validator(mode="after")
    def _issuer_of_tokens(self) -> Self:
        if self.auth == "jwt" and self.jwt is None:
            raise ValueError('auth = "jwt" needs the table [api.jwt], with issuer and audience')
        return self


class LogSettings(Table):
    """The log groups of the stage.

    customer_key: encrypt them with the stage's KMS key instead of a key of CloudWatch Logs' own
        (default false).
    """

    customer_key: bool = False


Service = Literal[
    "cloudformation",
    "ecr.api",
    "ecr.dkr",
    "execute-api",
    "kms",
    "logs",
    "monitoring",
    "s3",
    "s3vectors",
    "sagemaker.api",
    "sagemaker.runtime",
    "sns",
    "ssm",
    "states",
    "sts",
]
"""A service with a VPC endpoint, by the last part of the endpoint service's name."""


class ExistingVpc(Table):
    """A VPC that is there already, by its ids: nothing is looked up.

    vpc_id: resolves the names of AWS's services and of interface endpoints (DNS support and host
        names are on).
    subnet_ids: in two or more zones, without a route to the Internet.
    route_table_ids: of these subnets; S3's endpoint adds its route there.
    endpoints: the services that have an endpoint there already (default: none); the others get
        one.
    endpoint_security_group_id: of the interface endpoints among them; it gets a rule that lets
        this stage's functions in.
    api_endpoint_id: of the endpoint for `execute-api` among them.
    """

    vpc_id: str = Field(pattern=r"^vpc-[0-9a-f]{8,17}$")
    subnet_ids: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")], ...]
    route_table_ids: tuple[Annotated[str, Field(pattern=r"^rtb-[0-9a-f]{8,17}$")], ...] = ()
    endpoints: tuple[Service, ...] = ()
    endpoint_security_group_id: str | None = Field(None, pattern=r"^sg-[0-9a-f]{8,17}$")
    api_endpoint_id: str | None = Field(None, pattern=r"^vpce-[0-9a-f]{8,17}$")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        listed = set(self.endpoints)
        if len(self.subnet_ids) < 2:
            raise ValueError("subnet_ids: two or more, in different zones")
        if "s3" not in listed and not self.route_table_ids:
            raise ValueError("give route_table_ids, for S3's endpoint, or list s3 in endpoints")
        if listed - {"s3", "execute-api"} and self.endpoint_security_group_id is None:
            raise ValueError("give endpoint_security_group_id, of the endpoints that are listed")
        if ("execute-api" in listed) != (self.api_endpoint_id is not None):
            raise ValueError("api_endpoint_id and execute-api in endpoints go together")
        return self


class NetworkSettings(Table):
    """Where functions, models and jobs run; see docs/network.md.

    mode: `public` (default), in AWS's own networks, or `private`, in a VPC without a route to the
        Internet, whose endpoints lead to the services that are used and to nothing else.
    s3_prefix_list_id: of the region's addresses of S3; private stages need it.
    cidr: of the VPC that is made (default 10.0.0.0/20).
    availability_zones: two or three, such as `us-east-1a` (default: the region's first two). Not
        every zone has every instance type.
    flow_log_retention_days: how long the VPC's flow logs are kept (default 90).
    private_api: the REST API answers within the VPC alone (default false).
    api_callers: from where it may be called: networks that reach the VPC (default: `cidr`).
    more_endpoints: services that get an endpoint although nothing here calls them.
    existing: a VPC that is there already, instead of a new one.
    """

    mode: Literal["public", "private"] = "public"
    s3_prefix_list_id: str | None = Field(None, pattern=r"^pl-[0-9a-f]{8,17}$")
    cidr: Cidr = "10.0.0.0/20"
    availability_zones: tuple[
        Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$")], ...
    ] = Field((), max_length=3)
    # What CloudWatch Logs offers, up to ten years.
    flow_log_retention_days: Literal[1, 3, 7, 14, 30, 60, 90, 180, 365, 731, 1827, 3653] = 90
    private_api: bool = False
    api_callers: tuple[Cidr, ...] = Field((), max_length=20)
    more_endpoints: tuple[Service, ...] = ()
    existing: ExistingVpc | None = None

    @property
    def is_private(self) -> bool:
        return self.mode == "private"

    @property
    def callers(self) -> tuple[str, ...]:
        """The networks that a private API may be called from."""
        return self.api_callers or (self.cidr,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.is_private:
            if given := self.model_fields_set - {"mode"}:
                raise ValueError(f'{", ".join(sorted(given))}: only with mode = "private"')
            return self
        if self.s3_prefix_list_id is None:
            raise ValueError(
                'mode = "private" needs s3_prefix_list_id; `aws ec2 describe-prefix-lists --region'
                " REGION --filters Name=prefix-list-name,Values=com.amazonaws.REGION.s3` shows it"
            )
        if len(self.availability_zones) == 1 or (self.existing and self.availability_zones):
            raise ValueError("availability_zones: two or three, of a VPC that is made")
        if not 16 <= int(self.cidr.rpartition("/")[2]) <= 24:
            raise ValueError(f"cidr ({self.cidr}): between /16 and /24")
        in_existing = self.existing and not self.existing.api_endpoint_id
        if self.private_api and in_existing and not self.api_callers:
            raise ValueError("private_api in an existing VPC needs api_callers, such as its range")
        return self


class AlarmSettings(Table):
    """Whom alarms notify, and when.

    emails: subscribed to the stage's topic (each address must confirm). Other subscribers can be
        added to the topic.
    api_error_percent: answers of 5xx among all, over five minutes (default 1).
    api_latency_ms: 99th percentile of a whole request (default 3000).
    instance_percent: CPU, memory, GPU or GPU memory of an endpoint in use (default 90).
    min_score: a question whose best answer scores less counts as unanswered (default: what
        search.min_score withholds, or 0.3 if that is nothing);
        unanswered_percent: their share over an hour that is worth a look (default: no alarm).
    corpus_stale_days: the deployed corpus is older than that (default: no alarm).
    """

    emails: tuple[Email, ...] = ()
    api_error_percent: float = Field(1, gt=0, le=100)
    api_latency_ms: int = Field(3000, ge=10, le=29_000)
    instance_percent: int = Field(90, ge=1, le=100)
    min_score: float | None = Field(None, ge=-1, le=1)
    unanswered_percent: float | None = Field(None, gt=0, le=100)
    corpus_stale_days: int | None = Field(None, ge=1, le=3650)


class BudgetSettings(Table):
    """A monthly budget for what carries the stage's tags; alarms.emails are notified at 80 %."""

    monthly_usd: float = Field(gt=0)


class CiSettings(Table):
    """Roles that GitHub Actions may assume: one that can diff, one that can deploy.

    github_repository: `owner/name`, as GitHub names it in its tokens: `owner@id/name@id` for a
        repository created or renamed since 2026-07-15.
    deploy_branch: whose workflow runs may deploy.
    """

    github_repository: str = Field(pattern=r"^[\w.-]+(@\d+)?/[\w.-]+(@\d+)?$")
    deploy_branch: str = Field("main", pattern=r"^[\w./-]+$")
