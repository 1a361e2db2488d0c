"""What runs inside SageMaker: the bake (a training job), the serving code, encoder and index.

Imports neither boto3 nor aws_cdk. torch, transformers and openvino are imported only where they
are used, because not every machine has them.
"""
