"""The custom resource Custom::EmptyBucket."""
