"""The published models: a folder each."""

DEFAULT_MODEL = "disentangled-classification"
"""The published model that commands use by default: it has tags and all four sub-spaces."""
