"""SageMaker: models, endpoints, training and transform jobs, as processes on this machine.

An "instance" is one process, whatever its type and count. Network isolation is stored but not
enforced.
"""

from __future__ import annotations

from local_aws.sagemaker.service import SageMaker

__all__ = ["SageMaker"]
