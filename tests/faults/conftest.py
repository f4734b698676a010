"""What is needed of other tests' helpers: music and libraries, a tiny training run."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("library", "models")]
