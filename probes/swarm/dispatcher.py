"""How many users there are: one for each check, whatever anybody asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locust import User
from locust.dispatch import UsersDispatcher

if TYPE_CHECKING:
    from locust.runners import WorkerNode


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


class OneUserPerCheckAndWorker(OneUserPerCheck):
    """As above, on every worker alike: a master's ticks say which worker runs a check, and not Locust's distribution.

    Locust counts `fixed_count` over the fleet, so that of one user on three workers two would have none.
    """

    def new_dispatch(
        self,
        target_user_count: int,
        spawn_rate: float,  # noqa: ARG002 - as above
        user_classes: list[type[User]] | None = None,  # noqa: ARG002 - a worker without its user cannot take an offer
    ) -> None:
        """Begin a dispatch of one user for each class to each worker; none where none is wanted."""
        names = [user_class.__name__ for user_class in self._original_user_classes]
        wanted = int(target_user_count > 0)
        self._users_on_workers = {worker.id: dict.fromkeys(names, wanted) for worker in self._worker_nodes}
        # Locust breaks where there is nobody to dispatch to, as when one that it misses speaks again
        nobody = {"": dict.fromkeys(names, 0)}
        self._dispatcher_generator = (users for users in [self._users_on_workers or nobody])

    def add_worker(self, worker_node: WorkerNode) -> None:
        """A worker has come; Locust begins a new dispatch next."""
        self._worker_nodes.append(worker_node)

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """A worker has gone; the others stay as they are."""
        self._worker_nodes = [worker for worker in self._worker_nodes if worker.id != worker_node.id]
