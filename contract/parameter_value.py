"""Values of SSM parameters: JSON objects whose members are texts and whole numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """What the value of one parameter holds; its fields are of the types str and int."""

    called: ClassVar[str]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads the parameter's value and ignores members it does not know.

        Raises:
            ValueError: the value is not one that `to_json` writes.
        """
        try:
            read = json.loads(text)
            members: dict[str, Any] = {field.name: read[field.name] for field in fields(cls)}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not {cls.called}: {text}") from error
        for field in fields(cls):
            # Annotations are texts. A bool is no whole number here.
            if type(members[field.name]).__name__ != field.type:
                raise ValueError(f"not {cls.called}, because of its {field.name}: {text}")
        return cls(**members)

    def to_json(self) -> str:
        """The parameter's value."""
        return json.dumps(asdict(self))
