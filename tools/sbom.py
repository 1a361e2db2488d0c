"""Writes a bill of materials of what a stage deploys, as CycloneDX JSON: `make sbom`.

It is made of the locks alone, so that the same commit and stage give the same bytes. What AWS
brings (Lambda's runtime, the packages of the inference image) is named, but not taken apart.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from stage.instance_types import is_gpu
from stage.settings import Settings, SettingsError, load_settings
from stage.vendor import CONTAINER_PACKAGES, LAYER, TOKEN_LAYER, Vendored

_PACKAGE: Final = re.compile(r"^([\w.-]+)==(\S+)((?: *\\\n *--hash=sha256:\w+)+)$", re.MULTILINE)
_LAMBDA_RUNTIME: Final = "python3.13"


def bill_of_materials(settings: Settings) -> str:
    """The document, in CycloneDX 1.6."""
    bom = Bom()
    bom.metadata.component = root = _component(
        ComponentType.APPLICATION, settings.names.prefix, "The app as this stage deploys it"
    )
    parts = list(_parts(settings))
    for part, packages in parts:
        bom.components.update([part, *packages])
        bom.register_dependency(part, packages)
    bom.register_dependency(root, [part for part, _ in parts])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library takes the clock and a random number.
    del document["metadata"]["timestamp"], document["serialNumber"]
    contents = json.dumps(document, sort_keys=True)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, contents).urn
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _parts(settings: Settings) -> Iterator[tuple[Component, Sequence[Component]]]:
    """What is deployed, each with the packages in it."""
    layers = {"layer": (LAYER, "The layer of the functions behind the API")}
    if settings.api.auth == "jwt":
        layers["token-layer"] = (TOKEN_LAYER, "The layer of the function that checks tokens")
    for name, (vendored, description) in layers.items():
        yield _component(ComponentType.LIBRARY, name, description), _packages(vendored, name)
    yield (
        _component(
            ComponentType.APPLICATION, "container", "What bake and endpoints add to the image"
        ),
        _packages(CONTAINER_PACKAGES, "container"),
    )
    yield _component(ComponentType.PLATFORM, _LAMBDA_RUNTIME, "AWS Lambda's runtime"), ()
    instance_types = [
        settings.bake.instance_type,
        settings.batch_instance_type,
        *(endpoint.instance_type for endpoint in settings.endpoints),
    ]
    for gpu in sorted({is_gpu(instance_type) for instance_type in instance_types}):
        yield _image(settings.lock.image_uri(settings.region, gpu=gpu)), ()
    yield _weights(settings), ()


def _image(uri: str) -> Component:
    name, _, tag = uri.rpartition(":")
    # Its digest is known to the registry alone, which only an AWS account may ask.
    return _component(ComponentType.CONTAINER, name, "AWS's inference image", version=tag)


def _weights(settings: Settings) -> Component:
    model = settings.jumpstart_model
    bucket = settings.lock.weights_bucket(settings.region)
    component = _component(
        ComponentType.MACHINE_LEARNING_MODEL,
        model.id,
        "JumpStart's weights; the bake records their sha256 as `weights_source` in its manifest",
        version=model.version,
    )
    component.external_references.add(
        ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"s3://{bucket}/{model.weights_key}"),
        )
    )
    return component


def _packages(vendored: Vendored, part: str) -> list[Component]:
    """The packages of a lock, which has the hashes of every file of a version that would do."""
    found = _PACKAGE.findall(vendored.lock.read_text(encoding="utf-8"))
    return [_package(name, version, hashes, part) for name, version, hashes in found]


def _package(name: str, version: str, hashes: str, part: str) -> Component:
    sha256 = re.findall(r"sha256:(\w+)", hashes)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"{part}/{name}",
        purl=PackageURL("pypi", name=name, version=version),
        properties=[Property(name="faq-search:part", value=part)],
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(f"https://pypi.org/project/{name}/{version}/"),
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in sha256],
            )
        ],
    )


def _component(
    kind: ComponentType, name: str, description: str, *, version: str | None = None
) -> Component:
    reference = f"{name}:{version}" if version else name
    return Component(
        type=kind, name=name, bom_ref=reference, description=description, version=version
    )


def main() -> int:
    """Writes the document of a stage to a file."""
    parser = argparse.ArgumentParser(description="Write a CycloneDX bill of materials of a stage.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--stage", default="dev")
    parser.add_argument("--config", help="a folder of settings files instead of config/")
    options = parser.parse_args()
    try:
        document = bill_of_materials(load_settings(options.stage, directory=options.config))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(document, encoding="utf-8")
    print(f"Written to {options.output}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
