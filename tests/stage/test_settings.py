"""Settings: what is accepted, and that one message lists every error."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest

from stage import corpus_file
from stage.corpus_file import canonical_corpus, corpus_warnings
from stage.instance_types import has_local_storage, is_gpu, precisions
from stage.settings import ROOT, Settings, SettingsError, check_settings, load_settings

SAMPLE = "corpus/sample/amazon_sagemaker_faq.csv"
GOOD: dict[str, Any] = {
    "region": "eu-west-1",
    "removal_policy": "destroy",
    "model": {"id": "huggingface-sentencesimilarity-e5-base-v2"},
    "corpus": {"path": SAMPLE},
    "bake": {"instance_type": "ml.c6i.xlarge"},
    "endpoints": [{"instance_type": "ml.c6i.xlarge"}],
    "api": {"auth": "iam"},
}


def check(**changes: Any) -> Settings:
    return check_settings("dev", copy.deepcopy(GOOD) | changes, source="config/dev.toml")


def problems(**changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        check(**changes)
    return str(caught.value)


@pytest.mark.parametrize("stage", ["local", "dev", "prod", "private"])
def test_the_stages_of_the_project_are_right(stage: str) -> None:
    assert load_settings(stage).stage == stage


def test_defaults() -> None:
    settings = check()
    assert settings.search.ranking == settings.search.baked_ranking == "hybrid"
    assert (settings.search.min_score, settings.search.margin) == (-1, 0)
    assert settings.search.keep_unanswered is False
    assert settings.search.unanswered_retention_days == 30
    assert settings.model.precision == "fp32"
    assert settings.model.hyperparameters.batch_size == 64
    assert settings.model.hyperparameters.max_seq_length is None
    assert settings.model.hyperparameters.store_text is True
    assert settings.endpoints[0].instance_count == 1
    assert settings.jumpstart_model.query_prefix == "query: "
    assert len(settings.corpus_sha256) == 64


@pytest.mark.parametrize(
    ("precision", "instance_type"),
    [
        ("bf16", "ml.g5.2xlarge"),
        ("fp16", "ml.g5.2xlarge"),
        ("fp16", "ml.g4dn.2xlarge"),
        ("int8", "ml.c6i.xlarge"),
    ],
)
def test_a_precision_that_the_bake_has_instructions_for(precision: str, instance_type: str) -> None:
    settings = check(
        model=GOOD["model"] | {"precision": precision}, bake={"instance_type": instance_type}
    )
    assert settings.model.precision == precision


@pytest.mark.parametrize(
    ("precision", "instance_type", "allowed"),
    [
        ("bf16", "ml.c6i.xlarge", "fp32, int8"),
        ("fp16", "ml.c6i.xlarge", "fp32, int8"),
        ("bf16", "ml.g4dn.2xlarge", "fp32, fp16"),
        ("int8", "ml.g5.2xlarge", "fp32, bf16, fp16"),
    ],
)
def test_a_precision_that_the_bake_cannot_compute_in(
    precision: str, instance_type: str, allowed: str
) -> None:
    message = problems(
        model=GOOD["model"] | {"precision": precision}, bake={"instance_type": instance_type}
    )
    assert (
        f"model.precision ('{precision}'): bake.instance_type {instance_type} has no instructions"
        f" for it; allowed there: {allowed}\n"
    ) in message + "\n"


@pytest.mark.parametrize("days", [0, 2, 31, 400, "30"])
def test_questions_are_kept_as_long_as_cloudwatch_offers(days: int | str) -> None:
    assert "search.unanswered_retention_days" in problems(
        search={"keep_unanswered": True, "unanswered_retention_days": days}
    )
    kept = check(search={"keep_unanswered": True, "unanswered_retention_days": 7}).search
    assert (kept.keep_unanswered, kept.unanswered_retention_days) == (True, 7)


def test_an_unknown_precision() -> None:
    assert "Input should be 'fp32', 'bf16', 'fp16' or 'int8'" in problems(
        model=GOOD["model"] | {"precision": "int4"}
    )


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("ml.c7i.xlarge", ("fp32", "bf16", "int8")),
        ("ml.c6id.xlarge", ("fp32", "int8")),
        ("ml.m6i.large", ("fp32", "int8")),
        ("ml.c6a.xlarge", ("fp32",)),
        ("ml.c6g.xlarge", ("fp32",)),
        ("ml.c5.xlarge", ("fp32",)),
        ("ml.g6e.xlarge", ("fp32", "bf16", "fp16")),
        ("ml.p3.2xlarge", ("fp32", "fp16")),
        ("ml.p4d.24xlarge", ("fp32", "bf16", "fp16")),
    ],
)
def test_what_an_instance_type_computes_in(instance_type: str, expected: tuple[str, ...]) -> None:
    assert precisions(instance_type) == expected


PINNED = {"s3_uri": "s3://bucket/faq.jsonl", "version_id": "1", "sha256": "0" * 64}


def test_a_corpus_is_in_the_artifact_unless_the_settings_say_otherwise() -> None:
    assert check().search.engine == "endpoint"
    assert not check().search.has_vector_index
    assert check(search={"engine": "s3_vectors"}, corpus=PINNED).search.has_vector_index


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"search": {"engine": "opensearch"}}, "search.engine ('opensearch')"),
        (
            {
                "model": {**GOOD["model"], "precision": "bf16"},
                "bake": {"instance_type": "ml.g5.2xlarge"},
            },
            "model.precision ('bf16'): with search.engine",
        ),
        (
            {"model": {**GOOD["model"], "hyperparameters": {"store_text": False}}},
            "the index holds the texts",
        ),
        ({"corpus": PINNED | {"s3_uri": "s3://bucket/faq.csv"}}, "is JSON lines (.jsonl)"),
    ],
)
def test_what_an_index_of_s3_vectors_cannot_do(changes: dict[str, Any], words: str) -> None:
    assert words in problems(**({"search": {"engine": "s3_vectors"}} | changes))


def test_no_auth_given_means_signed_requests() -> None:
    assert check(api={}).api.auth == "iam"


ISSUER = {"issuer": "https://issuer.example/pool", "audience": ["faq"]}


def test_tokens_of_an_issuer() -> None:
    key = {"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "kid": "1", "use": "sig", "x5c": ["c"]}
    api = check(api={"auth": "jwt", "jwt": {**ISSUER, "jwks": [key]}}).api
    assert api.jwt
    assert (api.jwt.audience, api.jwt.scopes) == (("faq",), ())
    assert api.jwt.jwks_json == '[{"kty":"EC","kid":"1","crv":"P-256","x":"a","y":"b"}]'


@pytest.mark.parametrize(
    ("jwt", "words"),
    [
        (None, "needs the table [api.jwt]"),
        ({"audience": ["faq"]}, "api.jwt.issuer: Field required"),
        ({**ISSUER, "issuer": "http://issuer.example"}, "api.jwt.issuer ('http://issuer.example')"),
        ({**ISSUER, "issuer": "http://localhost.evil.example"}, "api.jwt.issuer"),
        ({**ISSUER, "audience": []}, "api.jwt.audience"),
        ({**ISSUER, "scopes": ["two words"]}, "api.jwt.scopes.0"),
        ({**ISSUER, "jwks": [{"kty": "oct", "k": "x"}]}, "api.jwt.jwks.0.kty ('oct')"),
        ({**ISSUER, "jwks": [{"kty": "RSA", "n": "x"}]}, "a key of kty RSA has n and e"),
        ({**ISSUER, "jwks": [{"kty": "EC", "crv": "P-384", "x": "a", "y": "b"}]}, "crv ('P-384')"),
        ({**ISSUER, "jwks": [{"kty": "RSA", "n": "x", "e": "y", "d": "z"}]}, "private key"),
        ({**ISSUER, "jwks": [{"kty": "RSA", "n": "x" * 3000, "e": "y"}]}, "at most 3,000"),
    ],
)
def test_wrong_settings_of_an_issuer(jwt: dict[str, Any] | None, words: str) -> None:
    api: dict[str, Any] = {"auth": "jwt"} | ({"jwt": jwt} if jwt else {})
    message = problems(api=api)
    assert words in message
    assert "'z'" not in message, "a private key is not printed"


def test_callers_are_named_as_they_authenticate() -> None:
    keys = {"auth": "api_key", "api_keys": ["team", "team.2", "boss"]}
    batch = {"callers": ["team", "boss"], "administrators": ["boss"]}
    assert check(api=keys, batch=batch).batch.administrators == ("boss",)
    role = "arn:aws:iam::123456789012:role/a/b"
    assert check(api={"auth": "iam"}, batch={"callers": [role]})
    assert check(api={"auth": "jwt", "jwt": ISSUER}, batch={"callers": ["faq/run"]})


@pytest.mark.parametrize(
    ("api", "batch", "words"),
    [
        (
            {"auth": "api_key", "api_keys": ["team.2", "boss"]},
            {"callers": ["team.2"]},
            "- batch.callers ('team.2'): no API key is named so; there are boss, team",
        ),
        ({"auth": "iam"}, {"administrators": ["team"]}, "- batch.administrators ('team'): must be"),
        ({"auth": "api_key", "api_keys": ["a.b.c"]}, {}, "api.api_keys.0 ('a.b.c')"),
        ({"auth": "jwt", "jwt": ISSUER}, {"callers": ["two words"]}, "batch.callers.0"),
        ({}, {"max_running": 0}, "batch.max_running (0)"),
        ({}, {"rate_limit": 0}, "batch.rate_limit (0)"),
        ({}, {"max_instances": 9}, "max_instances (9) is below max_instance_count (10)"),
        (
            {},
            {"max_instances_per_caller": 2, "max_instance_count": 3},
            "max_instances_per_caller (2) is below",
        ),
        ({"allowed_vpc_endpoints": ["vpce-0123456789abcdef0"]}, {}, "private APIs only"),
        ({"allowed_accounts": ["12345678901"]}, {}, "api.allowed_accounts.0 ('12345678901')"),
        (
            {"auth": "api_key", "allowed_accounts": ["123456789012"]},
            {},
            'allowed_accounts: with auth = "api_key" requests name no account',
        ),
        ({"key_quota_period": "year"}, {}, "api.key_quota_period ('year')"),
    ],
)
def test_wrong_settings_of_callers(api: dict[str, Any], batch: dict[str, Any], words: str) -> None:
    assert words in problems(api=api, batch=batch)


def test_a_batch_of_the_largest_size_is_always_possible() -> None:
    batch = check(batch={"max_instance_count": 30}).batch
    assert batch.most_instances == batch.most_instances_per_caller == 30
    assert check().batch.most_instances == 20


def test_one_message_lists_every_problem() -> None:
    message = problems(
        region="mars-north-1",
        removal_policy="burn",
        bake={"instance_type": "ml.c6i.large", "volume_size_gb": 1},
        endpoints=[{"instance_type": "ml.p3.2xlarge", "instance_count": 0}],
        extra=1,
    )
    assert message.startswith("config/dev.toml cannot be used, 7 problems:")
    for part in (
        "region ('mars-north-1'): no inference image is published there; allowed: af-south-1",
        "removal_policy ('burn'): Input should be 'destroy' or 'retain'",
        "bake.instance_type ('ml.c6i.large'): JumpStart does not offer it for",
        "bake.volume_size_gb (1): Input should be greater than or equal to 10",
        "endpoints.0.instance_type ('ml.p3.2xlarge'): JumpStart still lists it, but",
        "endpoints.0.instance_count (0): Input should be greater than or equal to 1",
        "extra (1): Extra inputs are not permitted",
    ):
        assert part in message


def test_an_unknown_model_is_answered_with_those_there_are() -> None:
    message = problems(model={"id": "bge-huge"})
    assert "model.id ('bge-huge'): not in jumpstart.lock.json; it has:" in message
    assert "huggingface-sentencesimilarity-all-MiniLM-L6-v2" in message


def test_retired_instance_types_are_not_offered() -> None:
    allowed = problems(endpoints=[{"instance_type": "ml.m5.large"}]).partition("allowed: ")[2]
    assert "ml.c6i.xlarge" in allowed
    assert "p3" not in allowed


def test_an_instance_type_listed_twice_is_a_problem() -> None:
    twice = [{"instance_type": "ml.c6i.xlarge"}] * 2
    assert "ml.c6i.xlarge is listed twice" in problems(endpoints=twice)


def test_no_endpoint_is_a_problem() -> None:
    assert "endpoints ([]): Tuple should have at least 1 item" in problems(endpoints=[])


def test_more_tokens_than_the_model_reads_is_a_problem() -> None:
    model = GOOD["model"] | {"hyperparameters": {"max_seq_length": 513}}
    assert "reads at most 512 tokens" in problems(model=model)


def test_a_corpus_file_that_is_not_there() -> None:
    message = problems(corpus={"path": "none.csv"})
    assert message.splitlines() == [
        "none.csv (corpus.path in config/dev.toml) cannot be used, 1 problem:",
        "  - none.csv: cannot be read: No such file or directory",
    ]


def test_errors_in_the_corpus_stand_with_the_others(tmp_path: Path) -> None:
    corpus = tmp_path / "faq.csv"
    corpus.write_text("question,answer,id\nq,a,1\nq,b,\nq,c,1\n")
    message = problems(corpus={"path": str(corpus)}, removal_policy="burn")
    lines = message.splitlines()
    assert lines[0] == "config/dev.toml cannot be used, 1 problem:"
    assert lines[1].startswith("  - removal_policy")
    assert lines[2] == f"{corpus} (corpus.path in config/dev.toml) cannot be used, 2 problems:"
    assert [line.partition(": ")[0] for line in lines[3:]] == [f"  - {corpus}:3", f"  - {corpus}:4"]


def test_errors_in_a_named_corpus_stand_alone(tmp_path: Path) -> None:
    corpus = tmp_path / "faq.csv"
    corpus.write_text("a,b,c\n" * 30)
    with pytest.raises(SettingsError) as caught:
        load_settings("dev", str(corpus))
    assert str(caught.value).startswith(f"{corpus} cannot be used, ")
    assert "config/dev.toml" not in str(caught.value)


@pytest.mark.parametrize(
    ("embed", "instead"),
    [
        ("answer", 'write ranking = "answer" there'),
        ("question", 'write ranking = "question" there'),
        ("both", 'write ranking = "vectors", or "hybrid"'),
        (7, 'write ranking = "hybrid" there'),
    ],
)
def test_the_key_before_rankings_names_its_equivalent(embed: object, instead: str) -> None:
    found = problems(model=GOOD["model"] | {"embed": embed}, region=1)
    assert f"model.embed ({embed!r}): replaced by the table [search]; {instead}" in found
    assert "region" in found, "every other problem is named too"


@pytest.mark.parametrize(
    ("alarm", "search", "expected"),
    [
        ({}, {}, 0.3),
        ({}, {"min_score": 0.45}, 0.45),
        ({"min_score": 0.2}, {"min_score": 0.45}, 0.2),
    ],
)
def test_what_counts_as_unanswered(
    alarm: dict[str, float], search: dict[str, float], expected: float
) -> None:
    assert check(alarms=alarm, search=search).unanswered_below == expected


def test_a_pinned_object_needs_all_three_parts() -> None:
    pinned = {"s3_uri": "s3://bucket/faq.csv", "version_id": "v1", "sha256": "0" * 64}
    assert check(corpus=pinned).corpus_sha256 == "0" * 64
    for missing in pinned:
        rest = {k: v for k, v in pinned.items() if k != missing}
        assert "give path, or all of s3_uri, version_id and sha256" in problems(corpus=rest)
    assert "not both" in problems(corpus=pinned | {"path": SAMPLE})


def test_a_stage_without_settings_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        SettingsError, match="no settings for stage 'x' in config; there are: dev, local"
    ):
        load_settings("x")


@pytest.mark.parametrize("stage", ["", "../secrets", "a/b"])
def test_a_stage_is_a_name_and_no_path(stage: str) -> None:
    with pytest.raises(SettingsError, match="no settings for stage"):
        load_settings(stage)


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").write_text("region = ")
    with pytest.raises(SettingsError, match=r"dev\.toml is not TOML"):
        load_settings("dev", directory=str(tmp_path))


def test_settings_may_live_elsewhere(tmp_path: Path) -> None:
    text = (ROOT / "config/dev.toml").read_text(encoding="utf-8")
    (tmp_path / "ours.toml").write_text(text)
    assert load_settings("ours", directory=str(tmp_path)).stage == "ours"
    with pytest.raises(SettingsError, match="there are: ours"):
        load_settings("dev", directory=str(tmp_path))


@pytest.mark.parametrize(
    "origin",
    [
        "https://www.example.com",
        "https://www.example.com:8443",
        "http://localhost:3000",
        "http://127.0.0.1",
    ],
)
def test_an_origin_as_browsers_send_it(origin: str) -> None:
    assert check(api={"cors_origins": [origin]}).api.cors_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "www.example.com",
        "https://www.example.com/",
        "https://www.example.com:443",
        "https://*.example.com",
        "https://WWW.example.com",
        "http://www.example.com",
        "null",
        'https://a" || "',
    ],
)
def test_an_origin_that_no_page_has_or_that_is_too_wide(origin: str) -> None:
    assert "an origin such as https://www.example.com" in problems(api={"cors_origins": [origin]})


def test_there_is_no_firewall_unless_the_settings_say_so() -> None:
    assert check().api.waf is None
    waf = check(api={"waf": {}}).api.waf
    assert waf is not None
    assert waf.requests_per_address == 2000


@pytest.mark.parametrize("rate", [0, 9, 3_000_000_000, "many"])
def test_a_rate_per_address_is_one_that_waf_takes(rate: object) -> None:
    assert "api.waf.requests_per_address" in problems(api={"waf": {"requests_per_address": rate}})


def test_logs_have_their_services_key_unless_the_settings_say_otherwise() -> None:
    assert check().logs.customer_key is False
    assert check(logs={"customer_key": True}).logs.customer_key is True
    assert "logs.key" in problems(logs={"key": "arn"})


def test_there_is_no_console_unless_the_settings_say_so() -> None:
    assert check().api.console is False
    assert {s: load_settings(s).api.console for s in ("local", "dev", "prod")} == {
        "local": True,
        "dev": True,
        "prod": False,
    }


@pytest.mark.parametrize("value", ["x", [], 3])
@pytest.mark.parametrize("key", ["model", "corpus", "bake", "endpoints", "api", "tags"])
def test_a_value_where_a_table_belongs(key: str, value: object) -> None:
    if key == "endpoints" and value == []:
        return
    assert key in problems(**{key: value})


@pytest.mark.parametrize(
    ("instance_type", "gpu", "local_storage"),
    [
        ("ml.c6i.xlarge", False, False),
        ("ml.c6id.xlarge", False, True),
        ("ml.m5d.large", False, True),
        ("ml.g5.2xlarge", True, True),
        ("ml.g6e.xlarge", True, True),
        ("ml.g4dn.2xlarge", True, True),
        ("ml.p3.2xlarge", True, False),
        ("ml.p3dn.24xlarge", True, True),
        ("ml.trn1.2xlarge", False, True),
    ],
)
def test_what_an_instance_types_name_says(
    instance_type: str, gpu: bool, local_storage: bool
) -> None:
    assert is_gpu(instance_type) is gpu
    assert has_local_storage(instance_type) is local_storage


@pytest.fixture
def build_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_file, "BUILD_DIRECTORY", tmp_path / "build")


@pytest.mark.usefixtures("build_folder")
def test_a_corpus_is_read_as_the_settings_say(tmp_path: Path) -> None:
    corpus = tmp_path / "faq.csv"
    corpus.write_bytes(
        "Was;Wie;Und\nDürfen Hunde mit?;Nur an der Leine, in die Küche nie.;Katzen?\n".encode(
            "cp1252"
        )
    )
    assert "name its encoding with --encoding: cp1252" in problems(corpus={"path": str(corpus)})
    columns = {"question": ["Was", "Und"], "answer": "Wie"}
    table = {"path": str(corpus), "encoding": "cp1252", "map": columns}
    settings = check(corpus=table)
    assert settings.corpus_entries == 1
    file = canonical_corpus(settings)
    assert file is not None
    assert (
        file.read_bytes()
        == (
            '{"id":"0","questions":["Dürfen Hunde mit?","Katzen?"],'
            '"answer":"Nur an der Leine, in die Küche nie."}\n'
        ).encode()
    )
    assert hashlib.sha256(file.read_bytes()).hexdigest() == settings.corpus_sha256
    assert canonical_corpus(settings) == file
    assert [w.partition(": ")[0] for w in corpus_warnings(settings)] == [f"{corpus}:2"]
    wrong = problems(corpus=table | {"encoding": 5, "map": {"answer": 5}})
    assert "corpus.encoding (5)" in wrong and "corpus.map.answer" in wrong


@pytest.mark.usefixtures("build_folder")
def test_a_damaged_copy_of_the_corpus_is_written_again(tmp_path: Path) -> None:
    corpus = tmp_path / "faq.csv"
    corpus.write_text("How?,So.\n")
    settings = check(corpus={"path": str(corpus)})
    file = canonical_corpus(settings)
    assert file is not None
    right = file.read_bytes()
    file.write_bytes(b"half")
    assert canonical_corpus(settings) == file
    assert file.read_bytes() == right


def test_a_pinned_corpus_is_what_the_bake_can_read() -> None:
    pinned = {"s3_uri": "s3://bucket/faq.xlsx", "version_id": "v1", "sha256": "0" * 64}
    assert "the bake cannot read faq.xlsx; upload what" in problems(corpus=pinned)
    pinned["s3_uri"] = "s3://bucket/faq.csv"
    assert "encoding and map are for a local file" in problems(
        corpus=pinned | {"encoding": "cp1252"}
    )
    settings = check(corpus=pinned)
    assert canonical_corpus(settings) is None
    assert corpus_warnings(settings) == ()


PRIVATE = {"mode": "private", "s3_prefix_list_id": "pl-6da54004"}
VPC = {
    "vpc_id": "vpc-0123456789abcdef0",
    "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
}


def test_a_stage_is_in_no_vpc_unless_the_settings_say_so() -> None:
    assert not check().network.is_private
    network = check(network=PRIVATE).network
    assert network.is_private
    assert network.callers == ("10.0.0.0/20",)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({"mode": "open"}, "network.mode ('open')"),
        ({"private_api": True}, 'private_api: only with mode = "private"'),
        ({"mode": "private"}, "needs s3_prefix_list_id"),
        ({**PRIVATE, "s3_prefix_list_id": "com.amazonaws.eu-west-1.s3"}, "s3_prefix_list_id"),
        ({**PRIVATE, "cidr": "10.0.0.1/20"}, "must be an IPv4 network such as"),
        ({**PRIVATE, "cidr": "10.0.0.0/8"}, "between /16 and /24"),
        ({**PRIVATE, "availability_zones": ["eu-west-1a"]}, "two or three"),
        ({**PRIVATE, "availability_zones": ["us-east-1a", "us-east-1b"]}, "not in eu-west-1"),
        ({**PRIVATE, "api_callers": ["everybody"]}, "network.api_callers.0 ('everybody')"),
        ({**PRIVATE, "more_endpoints": ["dynamodb"]}, "network.more_endpoints.0 ('dynamodb')"),
        ({**PRIVATE, "existing": VPC}, "give route_table_ids"),
        ({**PRIVATE, "existing": {**VPC, "subnet_ids": ["subnet-12345678"]}}, "subnet_ids"),
        (
            {**PRIVATE, "existing": {**VPC, "endpoints": ["s3", "ssm"]}},
            "give endpoint_security_group_id",
        ),
        (
            {**PRIVATE, "existing": {**VPC, "endpoints": ["s3", "execute-api"]}},
            "api_endpoint_id and execute-api in endpoints go together",
        ),
        (
            {**PRIVATE, "private_api": True, "existing": {**VPC, "endpoints": ["s3"]}},
            "private_api in an existing VPC needs api_callers",
        ),
    ],
)
def test_a_network_that_would_not_work(network: dict[str, Any], words: str) -> None:
    assert words in problems(network=network)


def test_the_keys_of_an_issuer_cannot_be_fetched_from_a_private_network() -> None:
    jwt: dict[str, Any] = {"issuer": "https://issuer.example", "audience": ["faq"]}
    auth = {"auth": "jwt", "jwt": jwt}
    assert "api.jwt.jwks" in problems(network=PRIVATE, api=auth)
    jwt["jwks"] = [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]
    assert check(network=PRIVATE, api=auth).api.jwt is not None
