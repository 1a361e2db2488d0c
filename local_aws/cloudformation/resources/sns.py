"""Topics, their policies and subscriptions."""

from __future__ import annotations

import json
from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    shaped,
    text,
)

_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig")


class Topic:
    """A topic; its id is its ARN."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the topic, with the subscriptions that it has itself."""
        client, properties = request.client("sns"), request.properties
        name = properties.get("TopicName") or request.name(256)
        attributes = {key: text(properties[key]) for key in _ATTRIBUTES if key in properties}
        tags = shaped("sns", "CreateTopic", {"Tags": properties.get("Tags", [])})
        arn = client.create_topic(Name=name, Attributes=attributes, **tags)["TopicArn"]
        for subscription in properties.get("Subscription", []):
            client.subscribe(
                TopicArn=arn, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"]
            )
        return self._result(arn)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes the attributes that differ."""
        for key in _ATTRIBUTES:
            value = request.properties.get(key, "")
            if value != old.get(key, ""):
                request.client("sns").set_topic_attributes(
                    TopicArn=physical_id, AttributeName=key, AttributeValue=text(value)
                )
        return self._result(physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the topic with its subscriptions."""
        ignore_missing(request.client("sns").delete_topic, TopicArn=physical_id)

    def _result(self, arn: str) -> Result:
        return Result(arn, {"TopicArn": arn, "TopicName": arn.rpartition(":")[2]})


class TopicPolicy:
    """Who may publish; the policy goes with the topic."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Puts the policy on each topic."""
        self._put(request)
        name = request.name()
        return Result(name, {"Id": name})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts it anew."""
        del old
        self._put(request)
        return Result(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Leaves it: nothing looks at it here."""

    def _put(self, request: Request) -> None:
        for topic in request.properties["Topics"]:
            request.client("sns").set_topic_attributes(
                TopicArn=topic,
                AttributeName="Policy",
                AttributeValue=json.dumps(request.properties["PolicyDocument"]),
            )


class Subscription:
    """A receiver of what is published; what it is sent to is create-only."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Subscribes."""
        arguments = shaped("sns", "Subscribe", request.properties)
        made = request.client("sns").subscribe(**arguments, ReturnSubscriptionArn=True)
        return Result(made["SubscriptionArn"], {"Arn": made["SubscriptionArn"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing that has an effect here."""
        del request, old
        return Result(physical_id, {"Arn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Unsubscribes."""
        ignore_missing(request.client("sns").unsubscribe, SubscriptionArn=physical_id)
