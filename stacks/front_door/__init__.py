"""The FrontDoor stack."""
