"""Pages that try every way out of a browser at once, each told by its path."""

from __future__ import annotations

from tests.clients.browser_help import Answer

WAYS = """
"use strict";
function tries(who) {
  const attempt = (action) => { try { Promise.resolve(action()).catch(() => {}); } catch { /* refused: fine */ } };
  for (const base of [self.origin, 'http://OTHER']) {
    const at = (way) => `${base}/${who}-${way}`;
    attempt(() => fetch(at('post'), { method: 'POST', body: 'x' }));
    attempt(() => fetch(at('put'), { method: 'PUT', body: 'x', credentials: 'include' }));
    attempt(() => fetch(at('keepalive'), { method: 'POST', body: 'x', keepalive: true, mode: 'no-cors' }));
    attempt(() => fetch(at('get')));
    attempt(() => fetch(at('away')));
    attempt(() => self.fetchLater && fetchLater(at('later'), { method: 'POST', body: 'x', activateAfter: 0 }));
    attempt(() => self.fetchLater && fetchLater(at('at-the-end'), { method: 'POST', body: 'x' }));
    attempt(() => navigator.sendBeacon && navigator.sendBeacon(at('beacon'), 'x'));
    attempt(() => { const xhr = new XMLHttpRequest(); xhr.open('DELETE', at('xhr')); xhr.send('x'); });
    attempt(() => new WebSocket(`${at('socket').replace('http', 'ws')}`));
    attempt(() => new WebTransport('https://UDP/'));
    attempt(() => { const source = new EventSource(at('events')); setTimeout(() => source.close(), 200); });
    attempt(() => caches.open('x').then((cache) => cache.add(at('cache'))));
    attempt(() => import(at('module.js')));
    attempt(() => self.importScripts && importScripts(at('imported.js')));
  }
  new BroadcastChannel('tried').postMessage(who);
}
"""

HOME = """<!doctype html><html><head>
<script>
  // Before anything else, as frames may be quicker than the page's own script.
  new BroadcastChannel('tried').onmessage = ({ data }) => {
    const told = Object.assign(document.createElement('p'), { id: `tried-${data}`, textContent: data });
    document.documentElement.append(told);
  };
</script>
<link rel="icon" href="/icon.png"><link rel="manifest" href="/manifest.json"><link rel="prerender" href="/prerender">
<link rel="prefetch" href="/prefetch"><link rel="preload" as="script" href="/preload.js">
<link rel="preconnect" href="http://OTHER"><link rel="dns-prefetch" href="http://OTHER">
<script type="speculationrules">{"prefetch": [{"urls": ["/speculated"], "eagerness": "immediate"}],
"prerender": [{"urls": ["/prerendered"], "eagerness": "immediate"}]}</script>
</head><body><h1>Home</h1>
<img src="/image.png"><img src="http://OTHER/image.png"><video src="/video.mp4" preload="auto"></video>
<object data="/object"></object><embed src="/embed"><iframe src="/frame"></iframe><iframe src="http://OTHER/frame"></iframe>
<iframe srcdoc="<script src='/ways.js'></script><script>tries('srcdoc')</script>"></iframe>
<iframe name="inner"></iframe><form id="form" method="post" action="/form" target="inner"><input name="a"></form>
<form id="blank" method="post" action="/blank" target="_blank"><input name="a"></form>
<a id="ping" href="#there" ping="/ping">ping</a><a id="popup" href="/popup" target="_blank">popup</a>
<script src="/ways.js"></script><script>
const inBlob = (who) => URL.createObjectURL(new Blob(
  [`importScripts('${location.origin}/ways.js'); tries('${who}')`],
  { type: 'text/javascript' }));
const all = [
  () => tries('page'), () => new Worker('/worker.js'), () => new Worker(inBlob('blob')),
  () => new SharedWorker('/shared.js'),
  () => navigator.serviceWorker.register('/service.js'),
  () => ServiceWorkerContainer.prototype.register.call(navigator.serviceWorker, '/service.js?again'),
  () => form.submit(), () => blank.submit(), () => ping.click(), () => popup.click(),
  () => { const opened = open('about:blank'); opened.fetch(`${location.origin}/opened`, { method: 'POST' }); },
  () => { const frame = document.body.appendChild(document.createElement('iframe')).contentWindow;
          new frame.WebSocket(`ws://${location.host}/frame-socket`);
          new frame.WebTransport('https://UDP/'); },
  () => { const rules = document.createElement('script'); rules.type = 'speculationrules';
          rules.textContent = '{"prefetch": [{"urls": ["/speculated-late"], "eagerness": "immediate"}]}';
          document.head.append(rules); },
  () => new PaymentRequest([{ supportedMethods: `${location.origin}/pay` }],
                           { total: { label: 'x', amount: { currency: 'USD', value: '1' } } }).canMakePayment(),
  () => navigator.credentials.get(
    { identity: { providers: [{ configURL: `${location.origin}/fedcm.json`, clientId: '1' }] } }),
  () => { const peer = new RTCPeerConnection({ iceServers: [{ urls: 'stun:UDP' },
            { urls: `turn:${location.host}?transport=tcp`, username: 'a', credential: 'b' }] });
          peer.createDataChannel('x'); peer.createOffer().then((offer) => peer.setLocalDescription(offer)); },
  () => setTimeout(() => tries('timer'), 50), () => addEventListener('load', () => tries('load')),
  () => addEventListener('beforeunload', () => tries('beforeunload')),
  () => addEventListener('pagehide', () => tries('pagehide')),
];
for (const action of all) { try { Promise.resolve(action()).catch(() => {}); } catch { /* refused: fine */ } }
</script></body></html>
"""


def pages(other: str, udp: str) -> dict[str, Answer]:
    """The site. `other` is a host that is not allowed, `udp` an address whose datagrams are seen."""

    def script(text: str) -> Answer:
        return Answer(text, "text/javascript")

    def fill(text: str) -> str:
        return text.replace("OTHER", other).replace("UDP", udp)

    speculative = {"Speculation-Rules": '"/rules.json"', "Link": "</linked.js>; rel=preload; as=script"}
    away = {f"/{who}-away": Answer(status=302, headers={"Location": f"http://{other}/led-away"}) for who in WHO}
    return {
        "/": Answer(fill(HOME), headers=speculative),
        "/ways.js": script(fill(WAYS)),
        "/worker.js": script("importScripts('/ways.js'); tries('worker'); new Worker('/nested.js');"),
        "/nested.js": script("importScripts('/ways.js'); tries('nested')"),
        "/shared.js": script("importScripts('/ways.js'); tries('shared')"),
        "/service.js": script("importScripts('/ways.js'); tries('service')"),
        "/frame": Answer("<script src='/ways.js'></script><script>tries('frame')</script>"),
        "/popup": Answer("<script src='/ways.js'></script><script>tries('popup')</script>"),
        "/rules.json": Answer('{"prefetch": [{"urls": ["/from-header"]}]}', "application/speculationrules+json"),
        "/next": Answer("<h1>Next</h1>"),
        **away,
    }


WHERE = ("srcdoc", "frame", "worker", "nested", "blob", "shared", "timer", "load")
"""Where it is tried while the page is open, beside the page itself. Each reports when it has."""

WHO = ("page", *WHERE, "beforeunload", "pagehide")
