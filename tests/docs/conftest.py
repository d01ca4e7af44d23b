"""Everything here checks what the documents and notebooks say."""

from pathlib import Path

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    if Path(item.path).is_relative_to(Path(__file__).parent):
        item.add_marker("document")
