"""A deployment over an older one removes or replaces nothing that holds data or an identity.

What there is stands in stateful/. `make snapshots` adds new resources to it. To remove or replace
one, delete its line by hand, and say in CHANGELOG.md what its users have to do.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.names import Names
from tests.support.stateful import add_new, problems, stateful_resources
from tests.support.synthesis import Templates, of_type

LISTS = Path(__file__).parent / "stateful"


def _found(stage: str, templates: Templates) -> list[str]:
    names = Names(stage)
    return [
        line
        for part, template in templates.items()
        for line in stateful_resources(names.stack(part), template)
    ]


def _check(file: Path, found: list[str]) -> None:
    if os.environ.get("UPDATE_SNAPSHOTS"):
        add_new(file, found)
    assert problems(file, found) == [], __doc__


def test_nothing_is_removed_or_replaced(stage: str, stage_templates: Templates) -> None:
    _check(LISTS / f"{stage}.txt", _found(stage, stage_templates))


def test_nor_with_all_that_settings_may_ask_for(everything: Templates) -> None:
    _check(LISTS / "everything.txt", _found("dev", everything))


class TestTheCheck:
    """It goes red for each kind of loss, and only for those."""

    @pytest.fixture
    def file(self, tmp_path: Path, model: dict[str, Any]) -> Path:
        file = tmp_path / "list.txt"
        add_new(file, stateful_resources("Model", model))
        assert problems(file, stateful_resources("Model", model)) == []
        return file

    @pytest.fixture
    def model(self, templates: Callable[[str], Templates]) -> dict[str, Any]:
        return copy.deepcopy(templates("dev")["Model"])

    @pytest.fixture
    def parameter(self, model: dict[str, Any]) -> str:
        return next(iter(of_type(model, "AWS::SSM::Parameter")))

    def test_a_removed_resource(self, file: Path, model: dict[str, Any], parameter: str) -> None:
        del model["Resources"][parameter]
        (problem,) = problems(file, stateful_resources("Model", model))
        assert problem.startswith(f"would be removed by a deployment: Model  {parameter}")

    def test_another_logical_id(self, file: Path, model: dict[str, Any], parameter: str) -> None:
        model["Resources"]["Moved"] = model["Resources"].pop(parameter)
        removed, added = problems(file, stateful_resources("Model", model))
        assert removed.startswith(f"would be removed by a deployment: Model  {parameter}")
        assert added.startswith("is not in list.txt: Model  Moved")

    def test_another_stack(self, file: Path, model: dict[str, Any]) -> None:
        found = stateful_resources("Renamed", model)
        assert len(problems(file, found)) == 2 * len(found)

    @pytest.mark.parametrize(
        "change",
        [
            lambda resource: resource.update(Type="AWS::SNS::Topic"),
            lambda resource: resource["Properties"].update(Name="/another/name"),
        ],
    )
    def test_another_type_or_name(
        self,
        file: Path,
        model: dict[str, Any],
        parameter: str,
        change: Callable[[dict[str, Any]], None],
    ) -> None:
        change(model["Resources"][parameter])
        replaced, _ = problems(file, stateful_resources("Model", model))
        assert replaced.startswith(f"would be replaced by a deployment: Model  {parameter}")

    def test_another_name_of_what_others_know_by_name(
        self, file: Path, model: dict[str, Any]
    ) -> None:
        (machine,) = (
            r
            for r in model["Resources"].values()
            if r["Type"] == "AWS::StepFunctions::StateMachine"
        )
        machine["Properties"]["StateMachineName"] = "another"
        replaced, _ = problems(file, stateful_resources("Model", model))
        assert "-> Model" in replaced and '"another"' in replaced

    def test_new_lines_are_added_and_lost_ones_never_removed(
        self, file: Path, model: dict[str, Any], parameter: str
    ) -> None:
        before = file.read_text(encoding="utf-8")
        model["Resources"]["Moved"] = model["Resources"].pop(parameter)
        found = stateful_resources("Model", model)
        add_new(file, found)
        assert set(before.splitlines()) < set(file.read_text(encoding="utf-8").splitlines())
        (problem,) = problems(file, found)
        assert "would be removed" in problem

    def test_what_changes_in_place_is_fine(
        self, file: Path, model: dict[str, Any], parameter: str
    ) -> None:
        model["Resources"][parameter]["Properties"]["Value"] = "another"
        model["Resources"]["New"] = {"Type": "AWS::Events::Rule"}
        assert problems(file, stateful_resources("Model", model)) == []
