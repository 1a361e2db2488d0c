"""How the facts of two emulators are made comparable, and compared."""

from __future__ import annotations

from datetime import UTC, datetime

from tools.second_opinion.facts import (
    Difference,
    Fact,
    differences,
    flat,
    form_of,
    masked,
    replacing,
)
from tools.second_opinion.templates import without

QUEUE = "AWS::SQS::Queue"


def test_a_difference_of_several_resources_is_reported_once():
    ours = {Fact(QUEUE, name, "delay"): "0" for name in ("A", "B", "C")}
    theirs = {**ours, Fact(QUEUE, "A", "delay"): "5", Fact(QUEUE, "B", "delay"): "5"}
    theirs[Fact(QUEUE, "A", "depth")] = "1"
    del theirs[Fact(QUEUE, "C", "delay")]
    assert differences(ours, theirs) == [
        Difference(QUEUE, "delay", "0", "5", ["A", "B"]),
        Difference(QUEUE, "depth", None, "1", ["A"]),
        Difference(QUEUE, "delay", "0", None, ["C"]),
    ]
    assert differences(ours, ours) == []


def test_names_that_differ_by_chance_get_the_same_label():
    answer = {
        "Arn": "arn:aws:sns:eu-west-1:1:app-Topic-X1",
        "Sub": ["app-Topic-X1-a", "app-Topic-X1"],
    }
    replace = replacing({"app-Topic-X1": "<Topic>", "app-Topic-X1-a": "<Sub>"})
    assert masked(answer, replace) == {
        "Arn": "arn:aws:sns:eu-west-1:1:<Topic>",
        "Sub": ["<Sub>", "<Topic>"],
    }
    policy = {"Policy": '{"Statement": [{"Resource": "app-Topic-X1"}]}', "At": datetime.now(UTC)}
    expected = {"Policy": {"Statement": [{"Resource": "<Topic>"}]}, "At": None}
    assert masked(policy, replace) == expected
    assert masked("{not JSON", replace) == "{not JSON"


def test_lists_are_compared_by_key_and_whatever_their_order():
    tags = {
        "Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}],
        "None": None,
        "No": [],
    }
    assert set(flat(tags, "get")) == {
        ("get.Tags.a.Value", "1"),
        ("get.Tags.b.Value", "2"),
    }
    assert list(flat({"Action": ["s3:Put", "s3:Get"]}, "")) == [(".Action", '["s3:Get", "s3:Put"]')]
    assert list(flat([{"On": False}], "x")) == [("x.0.On", "false")]


def test_the_form_of_an_id_is_without_what_is_random():
    assert form_of("app-Front-Topic-1X2Y3Z4A5B6C", "app-Front", "Topic") == "<stack>…"
    assert form_of("arn:aws:kms:eu-west-1:1:key/x", "app", "Key") == "arn:aws:kms:…"
    assert form_of("a1b2c3d4e5|0a1b2c|GET", "app", "Method") == "…|…|…"
    assert form_of("0d5b1c3e-1111-2222-3333-444455556666", "app", "Key") == "<random>"
    assert form_of("Policy", "app", "Policy") == "<name>"
    assert form_of("app-search", "my-stack", "Endpoint") == "app-search"


def test_whatever_needs_a_refused_resource_is_left_out_with_it():
    def resource(value, **more):
        return {"Type": "T", "Properties": {"P": value}, **more}

    template = {
        "Resources": {
            "Alarm": resource(1),
            "Ref": resource([{"Ref": "Alarm"}]),
            "Att": resource({"Fn::GetAtt": ["Ref", "Arn"]}),
            "Sub": resource({"Fn::Sub": "x ${Alarm.Arn}"}),
            "Later": resource("Alarm", DependsOn=["Alarm", "Kept"]),
            "Kept": resource({"Ref": "Later"}),
        },
        "Outputs": {"A": {"Value": {"Ref": "Att"}}, "K": {"Value": {"Ref": "Kept"}}},
    }
    assert without(template, {"Alarm", "elsewhere"}) == dict.fromkeys(
        ("Alarm", "Ref", "Att", "Sub"), "T"
    )
    assert template["Resources"].keys() == {"Later", "Kept"}
    assert template["Resources"]["Later"]["DependsOn"] == ["Kept"]
    assert template["Outputs"].keys() == {"K"}
    assert without(template, {"Alarm"}) == {}


def test_what_was_left_out_differs_in_that_alone():
    ours = {Fact(QUEUE, "A", "status"): "CREATE_COMPLETE", Fact(QUEUE, "A", "delay"): "0"}
    theirs = {Fact(QUEUE, "A", "status"): "refused: no"}
    (found,) = differences(ours, theirs)
    assert (found.what, found.theirs) == ("status", "refused: no")
