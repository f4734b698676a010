"""A piece of music to try a model on: 30 s, CC0, described in SOURCE.md beside it."""

from pathlib import Path

PATH = Path(__file__).with_name("pirates_orchestra.ogg")
"""The audio file."""
