"""Where alarms and the budget send their messages."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from stage.settings import Settings


class Notifications(Construct):
    """An encrypted topic that only this account's alarms and budgets write to, over TLS.

    Attributes:
        topic: sends to `alarms.emails` of the settings; each address has to confirm first.
    """

    def __init__(self, scope: Construct, id_: str, *, settings: Settings, key: kms.IKey) -> None:
        super().__init__(scope, id_)
        self.topic = sns.Topic(
            self,
            "Topic",
            display_name=f"FAQ search {settings.stage}",
            master_key=key,
            enforce_ssl=True,
        )
        publishers = ["cloudwatch.amazonaws.com"]
        if settings.budget is not None:
            publishers.append("budgets.amazonaws.com")
        for publisher in publishers:
            self._allow(publisher, key)
        for email in settings.alarms.emails:
            self.topic.add_subscription(subscriptions.EmailSubscription(email))

    def _allow(self, publisher: str, key: kms.IKey) -> None:
        """Lets a service write to the topic and encrypt its messages.

        EventBridge may not: a key's policy cannot restrict it to this account (SNS, "Key
        management"), and no rule here notifies.
        """
        stack = cdk.Stack.of(self)
        principal = iam.ServicePrincipal(publisher)
        account = {"StringEquals": {"aws:SourceAccount": stack.account}}
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[principal],
                resources=[self.topic.topic_arn],
                conditions=account,
            )
        )
        # The topic refers to the key, so the key's policy cannot refer to the topic. It names all
        # topics of this account; alarms and budgets choose which of them they write to.
        topics = stack.format_arn(service="sns", resource="*")
        key.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                principals=[principal],
                resources=["*"],  # in a key's policy: this key
                conditions={
                    **account,
                    "ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": topics},
                },
            )
        )
