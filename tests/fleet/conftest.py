import pytest


@pytest.hookimpl(trylast=True)  # after those who shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long story of all regions begins first: all others run beside it."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/fleet/test_regions.py"))
