"""The campaign of `make attack`: hostile requests and faults against a local deployment."""
