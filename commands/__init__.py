"""What operators run, most of it behind `make`."""
