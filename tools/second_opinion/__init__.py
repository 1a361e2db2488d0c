"""What an emulator that nobody here wrote makes of the app's templates (`make second-opinion`)."""
