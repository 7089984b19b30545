"""The page that shows an OpenAPI document: plain HTML in one piece, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec

__all__ = ["documentation_page"]

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#0a7c66}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
details{border:1px solid var(--line);border-radius:6px;margin:.6rem 0;padding:.5rem .9rem}
summary{cursor:pointer}code,pre,textarea,input{font:14px/1.4 ui-monospace,monospace}
.method{display:inline-block;min-width:4.2rem;font-weight:700;color:var(--accent)}
.said{color:#888}table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;
border-top:1px solid var(--line)}
textarea{width:100%;box-sizing:border-box;min-height:9rem}
pre{background:var(--soft);padding:.6rem;border-radius:6px;overflow:auto;white-space:pre-wrap}
button{font:inherit;padding:.25rem 1rem;cursor:pointer}
label{display:block;margin:.4rem 0}
"""

SCRIPT = """
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let path = form.dataset.path;
    const query = new URLSearchParams();
    for (const input of form.querySelectorAll("input")) {
      if (input.dataset.in === "path") {
        path = path.replace("{" + input.name + "}", encodeURIComponent(input.value));
      } else if (input.value) {
        query.set(input.name, input.value);
      }
    }
    if (query.size) path += "?" + query;
    const body = form.querySelector("textarea");
    const options = {method: form.dataset.method};
    if (body) {
      options.body = body.value;
      options.headers = {"content-type": "application/json"};
    }
    const shown = form.querySelector("output");
    const begin = performance.now();
    try {
      const answer = await fetch(path, options);
      let text = await answer.text();
      const took = (performance.now() - begin).toFixed(1);
      try { text = JSON.stringify(JSON.parse(text), null, 2); } catch {}
      shown.firstChild.textContent =
        answer.status + " " + answer.statusText + ", " + took + " ms\\n" + text;
    } catch (fault) {
      shown.firstChild.textContent = "no answer: " + fault.message;
    }
    shown.hidden = false;
  });
}
"""


def documentation_page(document: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the page of an OpenAPI document as UTF-8, and its Content-Security-Policy.

    The policy allows the page's own style and script, calls to its own server, and nothing else.
    """
    info = document["info"]
    title = escape(info["title"])
    said = f"<p>{escape(info['description'])}</p>" if info.get("description") else ""
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1>{title}</h1><p class="said">version {escape(info["version"])} · '
        f'<a href="/openapi.json">openapi.json</a></p>{said}'
        f"{_operations(document)}<h2>Shapes</h2>{_shapes(document)}"
        f"<script>{SCRIPT}</script></body></html>"
    )
    return page.encode(), _policy()


def _policy() -> str:
    allowed = {"style-src": _digest(STYLE), "script-src": _digest(SCRIPT), "connect-src": "'self'"}
    parts = ["default-src 'none'", *(f"{name} {source}" for name, source in allowed.items())]
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _operations(document: Mapping[str, Any]) -> str:
    tags: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["Operations"])[0]
            tags.setdefault(tag, []).append(_operation(method.upper(), path, operation))
    return "".join(f"<h2>{escape(tag)}</h2>{''.join(shown)}" for tag, shown in tags.items())


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    said = operation.get("description", "")
    return (
        f'<details id="{escape(operation["operationId"])}"><summary>'
        f'<span class="method">{method}</span> <code>{escape(path)}</code> '
        f'<span class="said">{escape(operation.get("summary", ""))}</span></summary>'
        f"{f'<p>{escape(said)}</p>' if said else ''}{_form(method, path, operation)}"
        f"{_answers(operation)}</details>"
    )


def _form(method: str, path: str, operation: Mapping[str, Any]) -> str:
    inputs = "".join(_input(parameter) for parameter in operation.get("parameters", []))
    body = ""
    if "requestBody" in operation:
        media = operation["requestBody"]["content"]["application/json"]
        body = f"<h3>Body</h3>{_fields(media['schema'])}"
        text = escape(_pretty(media.get("example", {})))
        body += f'<textarea aria-label="body" spellcheck="false">{text}</textarea>'
    return (
        f'<form data-method="{method}" data-path="{escape(path)}">{inputs}{body}'
        "<p><button>Send</button></p><output hidden><pre> </pre></output></form>"
    )


def _input(parameter: Mapping[str, Any]) -> str:
    name, place = escape(parameter["name"]), escape(parameter["in"])
    needed = " required" if parameter.get("required") else ""
    said = escape(parameter.get("description", ""))
    field = f'<input name="{name}" data-in="{place}"{needed}>'
    return f'<label><code>{name}</code> {field} <span class="said">{said}</span></label>'


def _answers(operation: Mapping[str, Any]) -> str:
    shown = []
    for status, answer in operation["responses"].items():
        media = answer.get("content", {}).get("application/json", {})
        name = "any error" if status == "default" else escape(status)
        text = escape(answer["description"])
        shown.append(f"<h3>{name}: {text}</h3>{_fields(media.get('schema', {}))}")
    return "".join(shown)


def _shapes(document: Mapping[str, Any]) -> str:
    return "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<pre>{escape(_pretty(schema))}</pre></details>"
        for name, schema in document["components"]["schemas"].items()
    )


def _fields(schema: Mapping[str, Any]) -> str:
    """A schema as a table of its fields, or as a word where it has none."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<p>see <a href="#{name}"><code>{name}</code></a></p>'
    properties = schema.get("properties")
    if not properties:
        return f"<pre>{escape(_pretty(schema))}</pre>" if schema else ""
    required = schema.get("required", ())
    rows = (
        f"<tr><td><code>{escape(name)}</code></td>"
        f"<td>{'required' if name in required else 'optional'}</td>"
        f"<td>{escape(_words(inner))}</td></tr>"
        for name, inner in properties.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _words(schema: Mapping[str, Any]) -> str:
    """A field's schema in a line: its type first, then what bounds it."""
    kind = schema.get("type", "any")
    words = [" or ".join(kind) if isinstance(kind, list) else str(kind)]
    for name, limit in schema.items():
        if name == "enum":
            words.append("one of " + ", ".join(map(str, limit)))
        elif name not in ("type", "properties", "required"):
            words.append(f"{name} {limit}")
    return "; ".join(words)


def _pretty(content: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
