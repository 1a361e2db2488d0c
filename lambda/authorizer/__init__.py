"""Who may call the REST API: the Lambda authorizers."""
