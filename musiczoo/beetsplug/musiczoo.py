"""The module that beets loads for ``plugins: musiczoo``; an installation has it as ``beetsplug.musiczoo``.

beets looks for a class that is defined here, in a namespace package: this folder has no ``__init__.py``.
"""

from musiczoo import beets


class MusicZooPlugin(beets.Plugin):
    """See `musiczoo.beets`."""
