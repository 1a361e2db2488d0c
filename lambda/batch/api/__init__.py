"""The batch routes of the REST API."""
