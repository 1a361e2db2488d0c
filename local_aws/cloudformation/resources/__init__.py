"""Resource types: one provider a type, plain boto3 calls against the same endpoint."""
