"""What runs inside SageMaker: the bake (a training job), the serving code, encoder and index.

Imports neither boto3 nor aws_cdk. torch, transformers and openvino are imported where they are
used, since the processors differ in what they have.
"""
