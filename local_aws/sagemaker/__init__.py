"""SageMaker: models, endpoints, training and transform jobs, run as processes of this machine.

Nothing here is bought or isolated: an "instance" is one process, whatever its type and count,
and network isolation is stored but not enforced.
"""

from __future__ import annotations

from local_aws.sagemaker.service import SageMaker

__all__ = ["SageMaker"]
