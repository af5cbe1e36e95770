"""All checks of the configured environment: one user class a check.

`smokeprobe run` drives this file; the same run by Locust's own command:

    locust -f locustfiles/production_smoke.py --config config/locust/scheduled.conf --env local
"""

from probes.swarm.hooks import install
from probes.swarm.users import probe_classes

globals().update(probe_classes(install()))  # Locust finds user classes by name; only the configuration knows which
