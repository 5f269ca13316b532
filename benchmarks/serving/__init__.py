"""What the service does under load, measured from outside, over HTTP."""
