"""Guides are tested with what the tests of commands and of models use."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("cli", "models")]
