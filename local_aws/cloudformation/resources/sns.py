"""SNS: topics and subscriptions, whose ids are their ARNs, and policies."""

from __future__ import annotations

import json

from local_aws.cloudformation.resources.base import (
    Provider,
    Request,
    Result,
    ignore_missing,
    shaped,
    text,
)

_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig")


class Topic(Provider):
    tags = "list"

    def create(self, request: Request) -> Result:
        client, properties = request.client("sns"), request.properties
        name = properties.get("TopicName") or request.name(256)
        attributes = {key: text(properties[key]) for key in _ATTRIBUTES if key in properties}
        tags = shaped("sns", "CreateTopic", {"Tags": properties.get("Tags", [])})
        arn = client.create_topic(Name=name, Attributes=attributes, **tags)["TopicArn"]
        return Result(arn, {"TopicArn": arn, "TopicName": name})

    def update(self, request: Request) -> None:
        for key in _ATTRIBUTES:
            value = request.properties.get(key, "")
            if value != request.old.get(key, ""):
                request.client("sns").set_topic_attributes(
                    TopicArn=request.physical_id, AttributeName=key, AttributeValue=text(value)
                )

    def delete(self, request: Request) -> None:
        ignore_missing(request.client("sns").delete_topic, TopicArn=request.physical_id)


class TopicPolicy(Provider):
    """A policy of topics; it is left in place when deleted, since nothing evaluates it here."""

    def create(self, request: Request) -> Result:
        self.update(request)
        name = request.name()
        return Result(name, {"Id": name})

    def update(self, request: Request) -> None:
        for topic in request.properties["Topics"]:
            request.client("sns").set_topic_attributes(
                TopicArn=topic,
                AttributeName="Policy",
                AttributeValue=json.dumps(request.properties["PolicyDocument"]),
            )


class Subscription(Provider):
    def create(self, request: Request) -> Result:
        arguments = shaped("sns", "Subscribe", request.properties)
        made = request.client("sns").subscribe(**arguments, ReturnSubscriptionArn=True)
        return Result(made["SubscriptionArn"], {"Arn": made["SubscriptionArn"]})

    def delete(self, request: Request) -> None:
        ignore_missing(request.client("sns").unsubscribe, SubscriptionArn=request.physical_id)
