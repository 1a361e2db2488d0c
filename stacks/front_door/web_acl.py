"""AWS WAF before the REST API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from stacks.common.arns import log_group_arn
from stacks.common.stage_stack import StageStack
from stacks.front_door.cors import refusal_headers
from stage.settings import Settings
from stage.tables import WafSettings

# AWS's managed rule groups, and those of their rules that look into bodies (documentation of
# November 2026). Bodies are texts about anything, code and attacks included, of up to 5 MB: these
# rules count what they match and refuse nothing. There is no SQL behind the API.
_RULE_GROUPS: dict[str, tuple[str, ...]] = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesKnownBadInputsRuleSet": (
        "JavaDeserializationRCE_BODY",
        "Log4JRCE_BODY",
        "ReactJSRCE_BODY",
    ),
    "AWSManagedRulesCommonRuleSet": (
        "CrossSiteScripting_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "SizeRestrictions_BODY",
    ),
}
_WINDOW_SECONDS = 300
# What a log must not hold: who calls, and a signed request's parameters.
_SECRET_HEADERS = ("authorization", "cookie", "x-amz-security-token", "x-api-key")
_TOO_MANY = "too-many-requests"


class WebAcl(Construct):
    """A web ACL on the API's stage: a rate per address, and AWS's managed rules.

    Its log holds the requests that a rule refused or counted, without credentials, query strings
    and bodies. AWS WAF reads the first 16 KB of a body; more would cost more, and only be counted.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        waf_settings: WafSettings,
        api: apigateway.RestApi,
    ) -> None:
        super().__init__(scope, id_)
        acl = self._acl(settings, waf_settings)
        waf.CfnWebACLAssociation(
            self,
            "Association",
            resource_arn=api.deployment_stage.stage_arn,
            web_acl_arn=acl.attr_arn,
        )
        log = StageStack.log_group(self, "Logs", name=settings.names.waf_log_group)
        logging = waf.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=acl.attr_arn,
            # WAF wants the ARN without the `:*` with which CloudFormation's ends.
            log_destination_configs=[log_group_arn(self, settings.names.waf_log_group)],
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ANY",
                        "Conditions": [
                            {"ActionCondition": {"Action": action}}
                            for action in ("BLOCK", "COUNT", "EXCLUDED_AS_COUNT")
                        ],
                    }
                ],
            },
            redacted_fields=[
                *(
                    waf.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": name})
                    for name in _SECRET_HEADERS
                ),
                waf.CfnLoggingConfiguration.FieldToMatchProperty(query_string={}),
            ],
        )
        logging.node.add_dependency(log)

    def _acl(self, settings: Settings, waf_settings: WafSettings) -> waf.CfnWebACL:
        name = settings.names.prefix
        return waf.CfnWebACL(
            self,
            "Resource",
            name=name,
            description=f"Before the REST API of {settings.stage}",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            rules=[
                self._rate(waf_settings, refusal_headers(settings.api.cors_origins)),
                *(
                    _managed(group, counting, priority)
                    for priority, (group, counting) in enumerate(_RULE_GROUPS.items(), start=1)
                ),
            ],
            custom_response_bodies={
                _TOO_MANY: waf.CfnWebACL.CustomResponseBodyProperty(
                    content_type="APPLICATION_JSON",
                    content=json.dumps(
                        {
                            "code": "throttled",
                            "message": "Too many requests from this address. Wait a few minutes and"
                            " try again.",
                        }
                    ),
                )
            },
            # Of a body, a log and samples would hold what a rule matched in it.
            data_protection_config=waf.CfnWebACL.DataProtectionConfigProperty(
                data_protections=[
                    waf.CfnWebACL.DataProtectProperty(
                        action="SUBSTITUTION",
                        field=waf.CfnWebACL.FieldToProtectProperty(
                            field_type=kind, field_keys=[*keys] or None
                        ),
                    )
                    for kind, keys in (
                        ("SINGLE_HEADER", _SECRET_HEADERS),
                        ("QUERY_STRING", ()),
                        ("BODY", ()),
                    )
                ]
            ),
            visibility_config=_visible(name),
        )

    @staticmethod
    def _rate(waf_settings: WafSettings, headers: Mapping[str, str]) -> waf.CfnWebACL.RuleProperty:
        response = waf.CfnWebACL.CustomResponseProperty(
            response_code=429,
            custom_response_body_key=_TOO_MANY,
            response_headers=[
                waf.CfnWebACL.CustomHTTPHeaderProperty(name=name, value=value)
                for name, value in headers.items()
            ]
            or None,
        )
        return waf.CfnWebACL.RuleProperty(
            name="RatePerAddress",
            priority=0,
            action=waf.CfnWebACL.RuleActionProperty(
                block=waf.CfnWebACL.BlockActionProperty(custom_response=response)
            ),
            statement=waf.CfnWebACL.StatementProperty(
                rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                    aggregate_key_type="IP",
                    evaluation_window_sec=_WINDOW_SECONDS,
                    limit=waf_settings.requests_per_address,
                )
            ),
            visibility_config=_visible("RatePerAddress"),
        )


def _managed(group: str, counting: Sequence[str], priority: int) -> waf.CfnWebACL.RuleProperty:
    """A rule group of AWS's in its current version, of whose rules some only count."""
    return waf.CfnWebACL.RuleProperty(
        name=group,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=group,
                rule_action_overrides=[
                    waf.CfnWebACL.RuleActionOverrideProperty(
                        name=rule, action_to_use=waf.CfnWebACL.RuleActionProperty(count={})
                    )
                    for rule in counting
                ]
                or None,
            )
        ),
        visibility_config=_visible(group),
    )


def _visible(metric: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    """A metric, and no samples of requests."""
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=False
    )
