"""What docs/alert-quality.md says of how it was found out, and what that leaves out."""

METHOD = """\
- **Runs.** A run is one pass of all five checks from one region, with their retries, every half hour; it has passed
  where all five have, so `degraded` and `error` count as not passed. The bound is Clopper and Pearson's, one-sided,
  95 %. The first row leaves out the moments in which a deploy has taken the target away or the region cannot reach
  it.
- **Requests.** Every try of every request is drawn: refused, unanswered, late or good, as noise and spells have it
  then. Tries, back-off, time-outs and intervals are those of `config/production.yaml`. Passes of which all requests
  are good at once are leapt over, as their probability is known; a spell's passes are drawn one by one.
- **The master's part** is the real one: when checks start (`probes/swarm/schedule.py`), and which failure is looked
  at again at once (`probes/swarm/confirm.py`). A failure that a further look refutes is left out; a further look is
  no sample itself.
- **Our alerts** are those of `probes/alerts/replay.py` with the rules of `config/alert-rules.yaml` for production,
  `certificate` left out, evaluated by smokeprobe with all regions in one history. Only stretches are replayed in
  which a rule could hold.
- **False alerts** are all that is told while nothing but noise befalls the target. The bound is that of a Poisson
  process, 95 %.
- **Others** see the same passes: an alert on the first failed verdict; on the third in a row of a check in a region;
  and Datadog's synthetic test as it comes, which looks from one location and tries nothing again. Alerts that overlap
  count once.
- **Outages** begin at a random moment, each in a world and with boot clocks of its own, last 40 minutes, and have the
  noise of the network, but no deploys. Time runs until a notice is accepted: the verdict, up to 5 s until a master
  looks (as often as it does), and handing the notice to a real SMTP server on loopback. A slow burn is counted from
  when half of all requests fail."""

LEFT_OUT = """\
- The figures of the noise are assumptions, not measurements of betterprompts.com. Most depends on three: how often a
  deploy takes everything away, how often a request is never answered (a try may take all of a check's time, so
  nothing is tried again after one), and how often two regions are in trouble at once, which here happens by chance
  only.
- Trouble that two or three regions share, as of a transit network, is an outage to the rules and would page.
- A region's trouble never lasts longer than half an hour here, and the rule `region` waits just that out: it warns by
  mail where more than 32 of 40 minutes are bad, which the noise cannot bring about but by chance. Where networks are in
  trouble for longer, there is such a mail each time. Nobody is paged for one region, by the quorum of two.
- What two regions' networks do at the same time by chance is the one kind of false page that is left: the rule cannot
  tell it from an outage, and a quorum of three would see none while one region is blind.
- Workers and masters that die, clocks, a database that is down, budgets that are used up, and the monitoring
  services: rules that one of those evaluates see the same samples, but decide on their own time grid, and look again
  at nothing.
- Pages are one part of so many requests of which each must be good; a browser's own second tries are not there.
- The real passes have no browser, and a target whose times hardly vary."""
