"""What answers requests in an endpoint or a transform job."""
