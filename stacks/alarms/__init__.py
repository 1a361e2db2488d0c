"""Every alarm of the app, whichever stack it is in."""
