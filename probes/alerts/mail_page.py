"""A message as the HTML part of a mail: what mail programs show of HTML, and nothing that they would have to fetch."""

from __future__ import annotations

from html import escape

from probes.alerts.message import Line, Message, Part

_FONT = "font:16px/1.5 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_LABEL = "color:#6b7280"
_HEADING = "font-size:17px;font-weight:600;margin:20px 0 4px"


def page(message: Message) -> str:
    """The whole page. It has no colours but one that can be read on light and dark."""
    parts = "".join(_part(part) for part in message.parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(message.subject)}</title></head>"
        f'<body style="{_FONT};max-width:36em;margin:0 auto;padding:12px;overflow-wrap:anywhere">'
        f"{parts}</body></html>\n"
    )


def _part(part: Part) -> str:
    heading = f'<h2 style="{_HEADING}">{escape(part.heading)}</h2>' if part.heading else '<hr style="margin:20px 0">'
    return heading + "".join(_line(line) for line in part.lines)


def _line(line: Line) -> str:
    label = f'<span style="{_LABEL}">{escape(line.label)}:</span> ' if line.label else ""
    text = escape(line.text)
    if line.url:
        text = f'<a href="{escape(line.url)}">{text}</a>'
    return f"<div>{label}{text}</div>"
