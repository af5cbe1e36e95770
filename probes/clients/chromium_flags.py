"""With which flags Chromium is started, so that it sends nothing of its own and nothing that the gate cannot see."""

from __future__ import annotations

from collections.abc import Mapping

from probes.safety.guard import DEFAULT_PORTS, GuardRules, parse_url, split_host

# Chromium takes only the last --disable-features, so what Playwright would turn off is repeated in the first group.
_DISABLED_FEATURES = (
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,"
    "HttpsFirstBalancedModeAutoEnable,LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,"
    "AvoidCorsURLLoaderRestartOnRedirect,OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch,"
    # What sends requests from the browser process or the network service, past the DevTools protocol.
    "Prerender2,FedCm,WebPayments,Reporting,NetworkErrorLogging,EarlyHintsPreloadForNavigation,"
    "PrivacySandboxAdsAPIs,AttributionReporting,Translate,AutofillServerCommunication,CertificateTransparencyComponentUpdater,"
    # What takes a third of a run's processor time, and nobody sees: for each window the suggestions of its address bar,
    # which are pages of their own, and a process in reserve.
    "WebUIOmniboxPopup,WebUIOmniboxAimPopup,SpareRendererForSitePerProcess"
)

_FLAGS = (
    "--disable-auto-reload",
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    # there is no screen: drawing through a graphics processor that is emulated would only take time
    "--disable-gpu",
    "--disable-gpu-compositing",
    "--disable-software-rasterizer",
    "--disable-http2",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    f"--disable-features={_DISABLED_FEATURES}",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    # The DevTools protocol does not show WebSocket handshakes. Chromium asks for a proxy by scheme, also in workers:
    # pages go straight, WebSockets to a proxy that does not exist (RFC 6761: .invalid is never resolved).
    "--proxy-server=http=direct://;https=direct://;socks=websockets-refused.invalid:1",
)

UNWANTED_DEFAULTS = ("--disable-popup-blocking",)
"""What Playwright adds and we do not want."""

INIT_SCRIPT = """
(() => {
  // Ways past the DevTools protocol that have no flag: QUIC and UDP. A worker's WebTransport stays, see Gate.
  for (const name of ['WebTransport', 'RTCPeerConnection', 'webkitRTCPeerConnection']) delete window[name];
  // One page is looked at; others would only send requests.
  window.open = () => null;
  // Prefetches of speculation rules are sent past the DevTools protocol; without their rules there are none.
  new MutationObserver((records) => {
    for (const { addedNodes } of records)
      for (const node of addedNodes)
        if (node.nodeName === 'SCRIPT' && node.type === 'speculationrules') node.remove();
  }).observe(document, { childList: true, subtree: true });
})();
"""
"""Runs in every document, frames included, before its own scripts."""


def launch_flags(rules: GuardRules, addresses: Mapping[str, str], extra: tuple[str, ...]) -> list[str]:
    """All flags; `addresses` is where each allowed host was found and may be reached."""
    sockets = [_bypass(entry) for entry in rules.websockets]
    return [
        *_FLAGS,
        # Also for loopback, which would otherwise be exempt from proxies.
        f"--proxy-bypass-list={';'.join(['<-loopback>', *(rule for pair in sockets for rule in pair)])}",
        f"--host-resolver-rules={_resolver_rules(rules, addresses)}",
        *extra,
    ]


def allowed_hosts(rules: GuardRules) -> tuple[str, ...]:
    """Every host name or address that a request may go to, each once."""
    listed = (split_host(entry)[0] for entry in (*rules.hosts, *rules.websockets))
    return tuple(dict.fromkeys((parse_url(rules.origin).host, *listed)))


def _resolver_rules(rules: GuardRules, addresses: Mapping[str, str]) -> str:
    """Each allowed host at its allowed ports leads to the address that was checked, and nothing else anywhere."""
    origin = parse_url(rules.origin)
    pairs = [(origin.host, str(origin.port))]
    for entry in (*rules.hosts, *rules.websockets):
        host, port = split_host(entry)
        pairs += [(host, port)] if port else [(host, str(default)) for default in sorted(set(DEFAULT_PORTS.values()))]
    mapped = [_map(host, port, addresses[host]) for host, port in dict.fromkeys(pairs) if host in addresses]
    return ",".join([*mapped, "MAP * ~NOTFOUND"])


def _map(host: str, port: str, address: str) -> str:
    host, address = _bracketed(host), _bracketed(address)
    return f"MAP {host} {address}" if port == "*" else f"MAP {host}:{port} {address}:{port}"


def _bypass(entry: str) -> tuple[str, ...]:
    host, port = split_host(entry)
    host = _bracketed(host)
    if port == "*":
        return (f"ws://{host}", f"wss://{host}")
    return tuple(f"{scheme}://{host}:{port or DEFAULT_PORTS[scheme]}" for scheme in ("ws", "wss"))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
