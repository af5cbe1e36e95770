from __future__ import annotations

import typing

from playwright.async_api import Page

from probes.config.roles import ROLES


def test_these_are_the_roles_that_the_driver_can_find() -> None:
    assert set(typing.get_args(typing.get_type_hints(Page.get_by_role)["role"])) == ROLES
