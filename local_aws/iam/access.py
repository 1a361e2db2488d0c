"""Who may do what: authenticates requests, decides about them, and lets services act as roles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from local_aws import moto_adapter
from local_aws.iam.calls import Call
from local_aws.iam.conditions import NotEvaluatedError
from local_aws.iam.decisions import Decisions
from local_aws.iam.policies import Decision, Policy, Request, decide
from local_aws.iam.principals import AccessKey, IssuedKeys, Principal
from local_aws.iam.requirements import Requirement, requirements_of
from local_aws.service_errors import ApiError

if TYPE_CHECKING:
    from local_aws.context import Context

# The administrator's policy, and that of other accounts' resources: those of AWS's own accounts,
# which let every account use them.
_EVERYTHING = '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
_OPEN = '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}'
# Condition keys that have values in some requests, besides those that have one in each.
_SOMETIMES = (
    *("aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip"),
    *("aws:principalaccount", "aws:principalarn", "aws:principaltype", "aws:username"),
    *("aws:sourceaccount", "aws:sourcearn", "cloudwatch:namespace", "iam:passedtoservice"),
    *("kms:calleraccount", "kms:encryptioncontext:aws:logs:arn"),
    *("kms:encryptioncontext:aws:s3:arn", "kms:encryptioncontext:aws:s3vectors:arn"),
    *("kms:encryptioncontext:aws:s3vectors:resource-id", "kms:encryptioncontextkeys"),
    *("kms:encryptioncontext:aws:sns:topicarn", "kms:grantisforawsresource"),
    *(
        "kms:viaservice",
        "lambda:sourcefunctionarn",
        "s3:prefix",
        "s3vectors:kmskeyarn",
        "s3vectors:ssetype",
        "sts:externalid",
        "sts:rolesessionname",
    ),
)
# Parameters that would change what a request may do.
_UNEVALUATED = {
    ("sts", "AssumeRole"): {
        "Policy": "session policies",
        "PolicyArns": "session policies",
        "Tags": "session tags",
    },
    ("iam", "CreateRole"): {"PermissionsBoundary": "permissions boundaries"},
    ("iam", "CreateUser"): {"PermissionsBoundary": "permissions boundaries"},
}


class AccessDeniedError(ApiError):
    """A refusal in AWS's words."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "AccessDenied", 403)


class VectorBuckets(Protocol):
    """What decisions about S3 Vectors depend on."""

    def policy(self, arn: str) -> str | None:
        """The policy of the bucket that an ARN is about."""

    def key(self, call: Call, arn: str) -> str | None:
        """The KMS key that encrypts, or will encrypt, what an ARN is about."""


class Access:
    """IAM's part in every request.

    Args:
        context: Of this local AWS.
        administrator: The key that every start makes.

    Attributes:
        stack_id: Finds the id in a stack's ARN by region and name; "*" for a stack that does not
            exist. Set by CloudFormation.
        vector_buckets: Set by S3 Vectors.
    """

    def __init__(self, context: Context, administrator: AccessKey) -> None:
        self._context = context
        self._issued = IssuedKeys()
        self._issued.add(administrator)
        folder = context.state_dir / "iam"
        self._decisions = Decisions(folder)
        self._guardrail = _Guardrail(folder / "guardrail.json")
        self._assuming = threading.Lock()
        self._sessions: dict[tuple[str, str, str], Principal] = {}
        self.administrator = administrator.principal
        self.stack_id: Callable[[str, str], str] = lambda _region, _name: "*"
        self.vector_buckets: VectorBuckets | None = None
        moto_adapter.caller_identities.add(self)

    def close(self) -> None:
        """Records no more decisions."""
        moto_adapter.caller_identities.remove(self)
        self._decisions.close()

    def identity(self, access_key_id: str) -> tuple[str, str, str]:
        """User id, ARN and account of a key's owner, for STS."""
        key = self.find_key(access_key_id)
        assert key is not None  # or the request would have been refused
        return key.principal.user_id, key.principal.arn, key.principal.account

    def find_key(self, key_id: str) -> AccessKey | None:
        """The valid key with this id: made here, or issued by IAM or STS."""
        issued = self._issued.find(key_id)
        if issued is not None:
            return issued
        owner = moto_adapter.find_key_owner(key_id)
        if owner is None:
            return None
        principal = Principal(
            owner.arn, owner.user_id, self._context.account_id, role_arn=owner.role_arn
        )
        return AccessKey(principal, key_id, owner.secret, owner.token, owner.expires)

    def service(self, name: str, source_arn: str | None = None) -> Principal:
        """An AWS service that acts for itself, on behalf of a resource.

        Args:
            name: E.g. "events.amazonaws.com".
            source_arn: The resource, e.g. a rule. Without it the request has neither
                `aws:SourceArn` nor `aws:SourceAccount`.
        """
        account = self._context.account_id
        keys = {"aws:SourceArn": source_arn, "aws:SourceAccount": account} if source_arn else {}
        return Principal(name, name, "", service=name, keys=keys)

    def assume(
        self, role_arn: str, service: str, session: str, source_arn: str | None = None
    ) -> Principal:
        """The session of a role that a service has assumed, as the role's trust policy lets it.

        Args:
            source_arn: What the service assumes it for, where AWS documents that the service says
                so. It does of SageMaker, Step Functions and EventBridge Scheduler, but not of
                Lambda, API Gateway and CloudFormation.

        Raises:
            AccessDeniedError: The role does not exist, or does not trust the service.
        """
        name = role_arn.rpartition("/")[2]
        arn = f"arn:aws:sts::{self._context.account_id}:assumed-role/{name}/{session}"
        caller = self.service(service, source_arn)
        self.require(caller, "sts:AssumeRole", role_arn, call=f"{service} as {session}")
        key = role_arn, service, session
        with self._assuming:
            if key not in self._sessions:
                user_id = f"AROA{abs(hash(role_arn)):X}:{session}"
                self._sessions[key] = Principal(
                    arn, user_id, self._context.account_id, role_arn=role_arn
                )
            return self._sessions[key]

    def key_of(self, principal: Principal) -> AccessKey:
        """An access key with which the principal can make requests."""
        return self._issued.issue(principal)

    def passing_key_of(self, principal: Principal) -> AccessKey:
        """An access key of the principal that `revoke` ends."""
        return self._issued.issue_another(principal)

    def revoke(self, key: AccessKey) -> None:
        """Refuses requests with an access key of `passing_key_of` from now on."""
        self._issued.revoke(key)

    def client(self, principal: Principal, service: str, region: str | None = None) -> Any:
        """The boto3 client with which a principal calls this local AWS."""
        return self._context.client(service, region, self.key_of(principal))

    def require(
        self,
        principal: Principal,
        action: str,
        resource: str,
        keys: Mapping[str, str] | None = None,
        *,
        call: str,
        policy: Policy | None = None,
    ) -> None:
        """Refuses what the principal may not do; for what makes no request of its own.

        Args:
            call: What asks for it, for the record.
            policy: Of the resource, if it is not one that is found by its ARN.

        Raises:
            AccessDeniedError: In AWS's words.
        """
        request = self.request(principal, action, resource, keys)
        self._decide(request, call, policy or self._resource_policy(request))

    def request(
        self,
        principal: Principal,
        action: str,
        resource: str,
        keys: Mapping[str, str] | None = None,
    ) -> Request:
        """What policies are asked about, with the condition keys that have values."""
        given = {key: [value] for key, value in (keys or {}).items()}
        requirement = Requirement(action, resource, given)
        return self._request(principal, requirement, self._context.region)

    def allows(self, principal: Principal, action: str, resource: str, *, call: str) -> bool:
        """Whether `require` would not refuse."""
        try:
            self.require(principal, action, resource, call=call)
        except AccessDeniedError:
            return False
        return True

    def authorize(self, principal: Principal, call: Call) -> None:
        """Refuses a call that the principal may not make.

        Raises:
            AccessDeniedError: In AWS's words.
            UnknownOperationError: The data does not say what the call needs.
            NotEvaluatedError: The call or a policy uses what is not evaluated.
        """
        unevaluated = _UNEVALUATED.get((call.service, call.operation), {})
        for parameter, what in unevaluated.items():
            if call.parameters.get(parameter):
                raise NotEvaluatedError(what)
        label = f"{call.service}.{call.operation}"
        for requirement in requirements_of(call, self._context.account_id, self._look_up):
            if requirement.if_absent and moto_adapter.has_object(
                call.parameters["Bucket"], call.parameters["Key"], call.parameters.get("VersionId")
            ):
                continue
            if requirement.of_role is not None:
                assert requirement.passed_to
                session = self.assume(
                    requirement.of_role, requirement.passed_to, call.service, requirement.source
                )
                self._require(session, requirement, call.region, label)
            elif requirement.for_key_of is None:
                self._require(principal, requirement, call.region, label)
                if requirement.passed_to:
                    self._check_trust(requirement, label)
            elif call.service == "logs":
                self._require_key_of_logs(requirement, call, label)
            elif call.service == "s3vectors":
                self._require_key_of_vectors(principal, requirement, call, label)
            elif key := self._kms_key(requirement, call):
                self._require_key(principal, requirement, key, call, label)

    def policies_of_arn(self, arn: str) -> tuple[Principal, list[Policy]]:
        """A role or a user, and its policies.

        Raises:
            ApiError: There is none.
        """
        kind, _, name = arn.rpartition(":")[2].partition("/")
        role_arn = arn if kind == "role" else None
        principal = Principal(arn, arn, self._context.account_id, role_arn=role_arn)
        policies = self._policies_of(principal) if kind in {"role", "user"} else []
        if not policies and name:
            raise ApiError(f"There are no policies of {arn}", "NoSuchEntity", 404)
        return principal, policies

    def key_arn(self, key_id: str) -> str:
        """The ARN of a KMS key by its id, ARN or alias."""
        return moto_adapter.kms_key_arn(key_id, self._context.region) or key_id

    def note_grants(self, call: Call) -> None:
        """Records the policies of the role or user that a call has just changed."""
        if call.service == "iam":
            role, user = call.parameters.get("RoleName"), call.parameters.get("UserName")
            if role:
                self._identity(moto_adapter.role_policies(role))
            if user:
                self._identity(moto_adapter.user_policies(user))

    def _check_trust(self, requirement: Requirement, label: str) -> None:
        """A service takes only roles that trust it."""
        assert requirement.passed_to
        if requirement.resource == "*":
            return
        service = self.service(requirement.passed_to, requirement.source)
        trust = Requirement("sts:AssumeRole", requirement.resource)
        self._require(service, trust, self._context.region, label)

    def _require_key(
        self, principal: Principal, requirement: Requirement, key: str, call: Call, label: str
    ) -> None:
        region = key.split(":")[3]
        keys = {
            "kms:ViaService": [f"{call.service}.{region}.amazonaws.com"],
            "kms:EncryptionContext:aws:s3:arn": [requirement.for_key_of or ""],
        }
        self._require(principal, Requirement(requirement.action, key, keys), region, label)

    def _require_key_of_vectors(
        self, principal: Principal, requirement: Requirement, call: Call, label: str
    ) -> None:
        """S3 Vectors uses the key of a bucket or an index on behalf of the caller."""
        arn = requirement.for_key_of or ""
        key = self.vector_buckets.key(call, arn) if self.vector_buckets else None
        if key is None:
            return
        context = {
            "kms:EncryptionContext:aws:s3vectors:arn": [arn],
            "kms:EncryptionContextKeys": ["aws:s3vectors:arn", "aws:s3vectors:resource-id"],
        }
        keys = {"kms:ViaService": [f"s3vectors.{call.region}.amazonaws.com"], **context}
        self._require(principal, Requirement(requirement.action, key, keys), call.region, label)
        if call.operation != "CreateIndex":
            return
        # The service itself has to read what it keeps in order.
        service = self.service("indexing.s3vectors.amazonaws.com", arn)
        try:
            self._require(service, Requirement("kms:Decrypt", key, context), call.region, label)
        except AccessDeniedError:
            raise AccessDeniedError(
                "Insufficient access to perform asynchronous indexing"
            ) from None

    def _require_key_of_logs(self, requirement: Requirement, call: Call, label: str) -> None:
        """CloudWatch Logs uses the key of a log group as itself, whoever writes or reads.

        Raises:
            AccessDeniedError: The key does not exist, or its policy does not let the service use it
                for this log group.
        """
        group = requirement.for_key_of or ""
        key_id = call.parameters.get("kmsKeyId") or moto_adapter.key_of_log_group(
            group.rpartition(":")[2], call.region
        )
        if key_id is None:
            return
        key = moto_adapter.kms_key_arn(key_id, call.region)
        name = f"logs.{call.region}.amazonaws.com"
        service = Principal(name, name, "", service=name)
        keys = {"kms:EncryptionContext:aws:logs:arn": [group]}
        try:
            if key is None:
                raise AccessDeniedError(key_id)
            self._require(service, Requirement(requirement.action, key, keys), call.region, label)
        except AccessDeniedError:
            raise AccessDeniedError(
                "The specified KMS key does not exist or is not allowed to be used with Arn "
                f"'{group}'"
            ) from None

    def _kms_key(self, requirement: Requirement, call: Call) -> str | None:
        """The key that S3 uses for an object: that of an existing one, or what a new one gets."""
        assert requirement.for_key_of
        bucket, _, name = requirement.for_key_of.removeprefix("arn:aws:s3:::").partition("/")
        reading = requirement.action == "kms:Decrypt" and call.operation not in {
            "UploadPart",
            "CompleteMultipartUpload",
        }
        if reading:
            key = moto_adapter.key_of_object(bucket, name, call.parameters.get("VersionId"))
        else:
            key = call.parameters.get("SSEKMSKeyId") or moto_adapter.default_key_of_bucket(bucket)
        if key is None:
            return None
        region = moto_adapter.bucket_region(bucket) or call.region
        # A key of another account cannot be looked up here; AWS managed keys allow the account.
        return moto_adapter.kms_key_arn(key, region)

    def _look_up(self, placeholder: str, region: str, value: str) -> str:
        match placeholder:
            case "KeyId":
                return moto_adapter.kms_key_arn(value, region) or value
            case "Id":
                return value if value.startswith("arn:") else self.stack_id(region, value)
            case "RoleNameWithPath" if not value.startswith("arn:"):
                return moto_adapter.role_arn(value) or value
        return value

    def _require(
        self, principal: Principal, requirement: Requirement, region: str, label: str
    ) -> None:
        request = self._request(principal, requirement, region)
        self._decide(request, label, self._resource_policy(request))

    def _request(self, principal: Principal, requirement: Requirement, region: str) -> Request:
        parts = requirement.resource.split(":", 5)
        account = (parts[4] if len(parts) == 6 else "") or self._context.account_id
        return Request(
            principal,
            requirement.action,
            requirement.resource,
            account,
            self._keys(principal, requirement, account, region),
        )

    def _decide(self, request: Request, label: str, resource_policy: Policy | None) -> None:
        decision = decide(
            request,
            identity=self._policies_of(request.principal),
            resource=resource_policy,
            resource_must_allow=request.action == "sts:AssumeRole"
            or (request.resource.startswith("arn:aws:kms:") and resource_policy is not None),
            guardrail=self._guardrail.policy(),
        )
        self._decisions.record(request, decision, label)
        if not decision.allowed:
            raise AccessDeniedError(_words(request, decision))

    def _resource_policy(self, request: Request) -> Policy | None:
        arn = request.resource
        if request.account != self._context.account_id:
            return Policy.parse("another account's", _OPEN)
        # A role's policy is about assuming it, and about nothing else that is done with it.
        if arn.startswith("arn:aws:iam:") and request.action != "sts:AssumeRole":
            return None
        if arn.startswith("arn:aws:s3vectors:"):
            document = self.vector_buckets.policy(arn) if self.vector_buckets else None
        else:
            document = moto_adapter.resource_policy(arn)
        return None if document is None else Policy.parse(arn, document)

    def _policies_of(self, principal: Principal) -> list[Policy]:
        if principal.administrator:
            return [Policy.parse("administrator", _EVERYTHING)]
        if principal.service:
            return []
        if principal.role_name:
            return self._identity(moto_adapter.role_policies(principal.role_name))
        return self._identity(moto_adapter.user_policies(principal.arn.rpartition("/")[2]))

    def _identity(self, found: moto_adapter.IdentityPolicies) -> list[Policy]:
        if found.boundary:
            raise NotEvaluatedError(f"permissions boundaries ({found.boundary})")
        policies = [Policy.parse(name, document) for name, document in found.documents]
        for policy in policies:
            self._decisions.note_policy(policy)
        return policies

    def _keys(
        self, principal: Principal, requirement: Requirement, account: str, region: str
    ) -> dict[str, list[str]]:
        now = datetime.now(UTC)
        keys: dict[str, list[str]] = {
            **{key: [] for key in _SOMETIMES},
            # There is no TLS here; requests count as if there were.
            "aws:securetransport": ["true"],
            "aws:sourceip": ["127.0.0.1"],
            "aws:currenttime": [now.strftime("%Y-%m-%dT%H:%M:%SZ")],
            "aws:epochtime": [str(int(now.timestamp()))],
            "aws:requestedregion": [region],
            "aws:resourceaccount": [account],
            "s3:resourceaccount": [account],
            "aws:sourceowner": [principal.account or account],
            "aws:userid": [principal.user_id],
            "aws:principalisawsservice": ["true" if principal.service else "false"],
            "aws:viaawsservice": ["false"],
        }
        if principal.account:
            kind = "AssumedRole" if principal.role_arn else "User"
            keys |= {
                "aws:principalarn": [principal.role_arn or principal.arn],
                "aws:principalaccount": [principal.account],
                "aws:principaltype": [kind],
                "kms:calleraccount": [principal.account],
            }
            if kind == "User":
                keys["aws:username"] = [principal.arn.rpartition("/")[2]]
        if requirement.passed_to:
            keys["iam:passedtoservice"] = [requirement.passed_to]
        keys |= {key.lower(): [value] for key, value in principal.keys.items()}
        keys |= {key.lower(): values for key, values in requirement.keys.items()}
        return keys


class _Guardrail:
    """A policy in a file that denies what it says to everybody, from the next request on.

    Args:
        file: May appear, change and go while the local AWS runs.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: tuple[int, Policy] | None = None

    def policy(self) -> Policy | None:
        """The policy, if there is one."""
        try:
            changed = self._file.stat().st_mtime_ns
        except OSError:
            return None
        if self._known is None or self._known[0] != changed:
            text = self._file.read_text(encoding="utf-8")
            self._known = changed, Policy.parse("guardrail", text)
        return self._known[1]


def _words(request: Request, decision: Decision) -> str:
    # S3 puts quotes around the resource.
    quote = '"' if request.action.startswith("s3:") else ""
    return (
        f"User: {request.principal.arn} is not authorized to perform: {request.action} on "
        f"resource: {quote}{request.resource}{quote} {decision.reason}"
    )
