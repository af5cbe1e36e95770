"""How many users there are: one for each check, whatever anybody asks for."""

from __future__ import annotations

from locust import User
from locust.dispatch import UsersDispatcher


class OneUserPerCheck(UsersDispatcher):
    """Makes every dispatch one user a check: `-u 1`, `-u 1000`, the web UI and its REST calls all mean that."""

    def new_dispatch(
        self,
        target_user_count: int,
        spawn_rate: float,  # noqa: ARG002 - Locust passes it; there is nothing to spread out
        user_classes: list[type[User]] | None = None,
    ) -> None:
        """Begin a dispatch of one user for each class, all at once; none where none is wanted."""
        classes = self._user_classes if user_classes is None else user_classes
        for user_class in classes:
            user_class.fixed_count = 1  # Locust's /user call can change it
        super().new_dispatch(len(classes) if target_user_count else 0, float(max(1, len(classes))), user_classes)
