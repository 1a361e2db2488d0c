"""AWS::ECR::Repository: the bootstrap stack has one; nothing is pushed to it here."""

from __future__ import annotations

import json
from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
)


class Repository:
    """A repository of images."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Makes the repository."""
        name = request.properties.get("RepositoryName") or request.name(256).lower()
        request.client("ecr").create_repository(repositoryName=name)
        return self._policies(request, name)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts its policies anew."""
        del old
        return self._policies(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes it with its images."""
        ignore_missing(
            request.client("ecr").delete_repository, repositoryName=physical_id, force=True
        )

    def _policies(self, request: Request, name: str) -> Result:
        client, properties = request.client("ecr"), request.properties
        lifecycle = properties.get("LifecyclePolicy", {}).get("LifecyclePolicyText")
        if lifecycle:
            client.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=lifecycle)
        policy = properties.get("RepositoryPolicyText")
        if policy:
            client.set_repository_policy(repositoryName=name, policyText=json.dumps(policy))
        account = request.context.account_id
        return Result(
            name,
            {
                "Arn": f"arn:aws:ecr:{request.region}:{account}:repository/{name}",
                "RepositoryUri": f"{account}.dkr.ecr.{request.region}.amazonaws.com/{name}",
            },
        )
