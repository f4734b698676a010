"""One export, shared by the tests that look at it."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tiny import Exported


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> "Exported":
    """A tiny model's ONNX file and SavedModel. Copy before changing anything."""
    from tiny import export_tiny

    return export_tiny(tmp_path_factory.mktemp("exported"))
