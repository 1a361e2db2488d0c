"""Layers, and packages in them that were compiled for another machine."""

from __future__ import annotations

import json
import shutil
from importlib import metadata

import pytest

from local_aws.lambda_runtime.host_packages import (
    UnusablePackageError,
    fit_to_host,
    link_with_dependencies,
)
from tests.support.gateway import create_function, zipped

FOREIGN = "cp399-cp399-manylinux2014_s390x"


def package(name: str, version: str, module: str, tag: str | None) -> dict[str, str]:
    """Files of an installed package with one compiled module for another Python."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": f"from {module} import _compiled",
        f"{module}/_compiled.cpython-399-s390x-linux-gnu.so": "not for here",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    if tag:
        files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nTag: {tag}\n"
    return files


def lay_out(folder, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("tag", [FOREIGN, None])
def test_a_compiled_package_is_replaced_by_the_same_version_of_this_environment(tmp_path, tag):
    version = metadata.version("pydantic_core")
    lay_out(tmp_path, package("pydantic_core", version, "pydantic_core", tag))
    assert fit_to_host(tmp_path) == [f"pydantic_core {version}"]
    found = {path.name for path in (tmp_path / "pydantic_core").iterdir()}
    assert not any("cpython-399" in name for name in found)
    assert "core_schema.py" in found


def test_a_compiled_module_beside_its_package_is_replaced_too(tmp_path):
    version = metadata.version("cffi")
    foreign = "_cffi_backend.cpython-399-s390x-linux-gnu.so"
    lay_out(tmp_path, {**package("cffi", version, "cffi", FOREIGN), foreign: "not for here"})
    assert fit_to_host(tmp_path) == [f"cffi {version}"]
    (module,) = tmp_path.glob("_cffi_backend*")
    assert module.name != foreign


def test_another_version_is_an_error_that_names_both(tmp_path):
    lay_out(tmp_path, package("pydantic_core", "0.0.1", "pydantic_core", FOREIGN))
    installed = metadata.version("pydantic_core")
    with pytest.raises(UnusablePackageError, match=r"install pydantic_core==0\.0\.1") as raised:
        fit_to_host(tmp_path)
    assert f"{installed} is installed" in str(raised.value)


def test_an_absent_package_is_an_error_that_names_it(tmp_path):
    lay_out(tmp_path, package("never_heard_of", "1.0", "never_heard_of", FOREIGN))
    with pytest.raises(UnusablePackageError, match=r"never_heard_of==1\.0.*none is installed"):
        fit_to_host(tmp_path)


def test_a_compiled_module_of_no_package_is_an_error_that_names_it(tmp_path):
    lay_out(tmp_path, {"stray.cpython-399-s390x-linux-gnu.so": ""})
    with pytest.raises(UnusablePackageError, match=r"stray\.cpython-399"):
        fit_to_host(tmp_path)


def test_packages_that_fit_are_left_alone(tmp_path):
    files = {
        "pure/__init__.py": "",
        "pure-1.dist-info/METADATA": "Name: pure\nVersion: 1\n",
        "pure-1.dist-info/WHEEL": "Tag: py3-none-any\n",
    }
    lay_out(tmp_path, files)
    assert fit_to_host(tmp_path) == []
    assert not (tmp_path / "pure").is_symlink()


def test_dependencies_are_linked_and_nothing_else(tmp_path):
    link_with_dependencies(["boto3"], tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"} <= names
    assert not {"moto", "aws_cdk", "pydantic", "werkzeug"} & names


def test_a_function_imports_from_its_layers_the_last_one_first(aws):
    client = aws.context.client("lambda")
    version = metadata.version("markupsafe")
    layers = [
        {"python/shared.py": "NAME = 'first'", "python/only_first.py": "NAME = 'only first'"},
        {
            "python/shared.py": "NAME = 'second'",
            **{
                f"python/{path}": text
                for path, text in package("MarkupSafe", version, "markupsafe", FOREIGN).items()
            },
        },
    ]
    arns = [
        client.publish_layer_version(LayerName=f"l{n}", Content={"ZipFile": zipped(files)})[
            "LayerVersionArn"
        ]
        for n, files in enumerate(layers)
    ]
    source = """
import shared, only_first, markupsafe._speedups
def handler(event, context):
    return [shared.NAME, only_first.NAME, markupsafe.__file__ != markupsafe._speedups.__file__]
"""
    create_function(aws, "layered", source, Layers=arns)
    payload = client.invoke(FunctionName="layered")["Payload"].read()
    assert json.loads(payload) == ["second", "only first", True]


def test_an_unusable_layer_fails_the_invocation_with_its_reason(aws):
    client = aws.context.client("lambda")
    files = package("never_heard_of", "1.0", "never_heard_of", FOREIGN)
    layer = client.publish_layer_version(
        LayerName="foreign",
        Content={"ZipFile": zipped({f"python/{path}": text for path, text in files.items()})},
    )
    create_function(aws, "unusable", "def handler(e, c): ...", Layers=[layer["LayerVersionArn"]])
    with pytest.raises(client.exceptions.InvalidRuntimeException, match=r"never_heard_of==1\.0"):
        client.invoke(FunctionName="unusable")


def test_links_do_not_reach_into_this_environment(aws):
    """Deleting the local AWS's scratch folder keeps what its links point to."""
    folder = aws.context.state_dir / "scratch"
    link_with_dependencies(["jmespath"], folder)
    shutil.rmtree(folder)
    assert metadata.distribution("jmespath").locate_file("jmespath/__init__.py").exists()
