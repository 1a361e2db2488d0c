"""The switch that stops paying for endpoints without losing the deployment."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from contract.switch import OFF, ON, PARAMETER
from stage.settings import Settings


class ServingSwitch(Construct):
    """The parameter `Serving` of the stack: `on` (default) or `off`.

    Resources with its condition exist only while it is on. It is a parameter so that
    CloudFormation itself does the switching, with the template it already has: nothing changes
    endpoints behind its back, and a later deployment keeps the value.
    """

    def __init__(self, scope: Construct, id_: str) -> None:
        super().__init__(scope, id_)
        parameter = cdk.CfnParameter(
            self,
            "Parameter",
            type="String",
            allowed_values=[ON, OFF],
            default=ON,
            description="Whether there are endpoints; off keeps the models and all that was baked",
        )
        parameter.override_logical_id(PARAMETER)
        self._condition = cdk.CfnCondition(
            self,
            "Condition",
            expression=cdk.Fn.condition_equals(parameter.value_as_string, ON),
        )
        self._condition.override_logical_id("IsServing")

    def only_while_on(self, resource: cdk.CfnResource) -> None:
        """Makes the resource exist only while the switch is on."""
        resource.cfn_options.condition = self._condition

    def choose(self, on: Any, off: Any) -> cdk.IResolvable:
        """One value while the switch is on, another while it is off.

        `on` may refer to resources that exist only while the switch is on. Such a reference is
        also how to depend on them: DependsOn must not name a resource that may not exist.
        """
        return cdk.Fn.condition_if(self._condition.logical_id, on, off)

    def publish(self, settings: Settings) -> ssm.StringParameter:
        """Adds an SSM parameter with the value, for those who read it at run time."""
        return ssm.StringParameter(
            self,
            "State",
            parameter_name=settings.names.serving_parameter,
            string_value=cdk.Token.as_string(self.choose(ON, OFF)),
            description="Whether the endpoints are switched on",
        )
