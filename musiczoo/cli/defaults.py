"""What the commands use unless told otherwise."""

DEFAULT_MODEL = "disentangled-classification"
"""The published model that serves tags and all four sub-spaces."""
