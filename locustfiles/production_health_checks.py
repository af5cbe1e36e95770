"""The health checks alone, for a quick look or a short interval.

locust -f locustfiles/production_health_checks.py --config config/locust/scheduled.conf --env local
"""

from probes.swarm.hooks import install
from probes.swarm.users import probe_classes

globals().update(probe_classes(install(only_kinds=frozenset({"health"}))))
