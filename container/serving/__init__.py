"""What answers requests inside an endpoint or a transform job."""
