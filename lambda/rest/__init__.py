"""What the functions behind the REST API share."""
