"""Records of YAML; needs the package PyYAML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from corpus.documents import Mapped, document_records
from corpus.entry import Record
from corpus.errors import Problems, shown
from corpus.headers import Columns
from corpus.lines import Lines


def yaml_records(lines: Lines, problems: Problems, columns: Columns | None) -> Iterator[Record]:
    """The records of a file's documents. Every scalar is a text as it is written: `Yes` stays."""
    try:
        import yaml  # noqa: PLC0415 - only for this kind of file
    except ImportError:
        raise problems.stop(
            None, "reading YAML needs the package PyYAML: pip install pyyaml"
        ) from None

    class Loader(yaml.BaseLoader):  # type: ignore[misc]
        pass

    def construct(loader: Any, node: Any) -> Mapped:
        value = Mapped()
        value.row = node.start_mark.line + 1
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise problems.stop(value.row, "a key that is no text")
            inner = loader.construct_object(value_node, deep=True)
            if key in value:
                raise problems.stop(
                    key_node.start_mark.line + 1,
                    f"the key {key!r} twice, {shown(str(value[key]))} and {shown(str(inner))};"
                    " keep one",
                )
            value[key] = inner
        return value

    Loader.add_constructor("tag:yaml.org,2002:map", construct)
    text = "".join(lines)
    try:
        documents = [d for d in yaml.load_all(text, Loader) if d not in (None, "")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        row = mark.line + 1 if mark else 1
        found = getattr(error, "problem", None) or str(error)
        raise problems.stop(
            row, f"not YAML: {found}; a text with a colon or a # stands in quotes"
        ) from None
    except RecursionError:
        raise problems.stop(None, "YAML nested too deeply") from None
    if documents:
        whole = documents[0] if len(documents) == 1 else documents
        yield from document_records(whole, problems, columns)
