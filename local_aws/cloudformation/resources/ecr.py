"""ECR: the bootstrap stack has a repository; nothing is pushed to it here."""

from __future__ import annotations

import json

from local_aws.cloudformation.resources.base import Provider, Request, Result, ignore_missing


class Repository(Provider):
    def create(self, request: Request) -> Result:
        name = request.properties.get("RepositoryName") or request.name(256).lower()
        request.client("ecr").create_repository(repositoryName=name)
        self._put_policies(request, name)
        account = request.context.account_id
        return Result(
            name,
            {
                "Arn": f"arn:aws:ecr:{request.region}:{account}:repository/{name}",
                "RepositoryUri": f"{account}.dkr.ecr.{request.region}.amazonaws.com/{name}",
            },
        )

    def update(self, request: Request) -> None:
        self._put_policies(request, request.physical_id)

    def delete(self, request: Request) -> None:
        client = request.client("ecr")
        ignore_missing(client.delete_repository, repositoryName=request.physical_id, force=True)

    def _put_policies(self, request: Request, name: str) -> None:
        client, properties = request.client("ecr"), request.properties
        lifecycle = properties.get("LifecyclePolicy", {}).get("LifecyclePolicyText")
        if lifecycle:
            client.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=lifecycle)
        policy = properties.get("RepositoryPolicyText")
        if policy:
            client.set_repository_policy(repositoryName=name, policyText=json.dumps(policy))
