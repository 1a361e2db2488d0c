"""How many tokens an endpoint can encode in the time of a request; more is work for a batch.

An estimate, and rather too high: what takes longer is ended when its time is over. The setting
`endpoints.max_tokens` overrides it.
"""

from __future__ import annotations

from typing import Final

from stage.instance_types import is_gpu, precisions, vcpus
from stage.jumpstart import JumpStartModel
from stage.tables import EndpointSettings

REQUEST_SECONDS: Final = 26
"""What the front door has for all endpoints of a request; API Gateway gives up after 29."""

# Floating-point operations a second that the encoder reaches in fp32 with texts of usual length.
#
# CPU: AWS's walk-through measured 1,220 ms for nearest neighbours on ml.c6i.xlarge with
# e5-large-v2, 155 tokens (bench/published_latency.csv): 0.077e12 with AWS's container; ours is 2.67
# times as fast (docs/performance.md). That instance has four vCPUs.
_OF_A_VCPU: Final = 0.2e12 / 4
# GPU: half of the peak that NVIDIA states in fp32: 31.2e12 for the A10, of which the A10G is AWS's
# variant, 8.1e12 for the T4, 15.7e12 for the V100. AWS's figures say nothing of it: with 155 tokens
# a GPU mostly waits.
_OF_A_GPU: Final = {"g5": 15.6e12, "g4dn": 4.05e12, "p3": 7.85e12}
# With half the bits, twice as many; with a quarter of them, too: attention and the rest stay fp32.
_REDUCED_PRECISION: Final = 2
# Layers by the dimension of the vectors, which is the width of the layers.
_LAYERS: Final = {384: 12, 768: 12, 1024: 24}
_FEWER_LAYERS: Final = {"huggingface-sentencesimilarity-all-MiniLM-L6-v2": 6}


def max_tokens(model: JumpStartModel, endpoint: EndpointSettings, precision: str) -> int | None:
    """The tokens of all texts of one request, to two digits; None where nobody knows."""
    if endpoint.max_tokens is not None:
        return endpoint.max_tokens
    operations, speed = _operations(model), _speed(endpoint, precision)
    if operations is None or speed is None:
        return None
    tokens = int(REQUEST_SECONDS * speed / operations)
    unit: int = 10 ** max(0, len(str(tokens)) - 2)
    return tokens // unit * unit


def _operations(model: JumpStartModel) -> int | None:
    """Those of a token: four square products and two of the inner layer, which is four times wider.

    Attention is left out; it adds a tenth for texts of 512 tokens.
    """
    layers = _FEWER_LAYERS.get(model.id, _LAYERS.get(model.dimension))
    return None if layers is None else layers * 2 * 12 * model.dimension**2


def _speed(endpoint: EndpointSettings, precision: str) -> float | None:
    instance_type = endpoint.instance_type
    if is_gpu(instance_type) and endpoint.device != "cpu":
        speed = _OF_A_GPU.get(instance_type.split(".")[1])
    else:
        speed = _OF_A_VCPU * vcpus(instance_type)
    if speed is None or precision == "fp32" or precision not in precisions(instance_type):
        return speed
    return speed * _REDUCED_PRECISION
