"""A router behind HTTP: what it decides, and calls that it forwards to the models."""
