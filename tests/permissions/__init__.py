"""Shows of each permission of the deployed roles, and of who deploys, that something needs it."""
