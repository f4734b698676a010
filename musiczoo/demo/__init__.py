"""A recording to try models with: 30 s of orchestral music, CC0, described in SOURCE.md beside it.

>>> from musiczoo import demo
>>> demo.PATH.name
'pirates_orchestra.ogg'
"""

from pathlib import Path

PATH = Path(__file__).with_name("pirates_orchestra.ogg")
"""The audio file."""
