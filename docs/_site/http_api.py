"""reference/http.md, made from the OpenAPI document of `musiczoo serve`: a page that cannot go stale."""

import json
from collections.abc import Iterator
from typing import Any

PAGE = "reference/http.md"

INTRODUCTION = """\
# HTTP API

`musiczoo serve music.db` answers at `http://127.0.0.1:8000/api/v1/`; [Serve a library](../guides/serve.md) shows how
to start it, and has examples. A running server has this reference as an OpenAPI 3.1 document at
`/api/v1/openapi.json`, from which other programs can make a client.

Requests and answers are JSON in UTF-8. A track is named by its `id`, the number of its row in the library: it stays
the same while the file stays. Names and units of fields are those of the command line's `--json`
([JSON output](json.md)). Fields that are not listed are refused in requests; answers may gain fields in any version.

| Status | Meaning |
|---|---|
| 200, 201, 204, 206 | done |
| 400 | the request is not HTTP or JSON, or calls the server by a name that is not its own |
| 401 | the token is missing or wrong |
| 403 | a page of another site asks, or the server was started without what is asked for |
| 404 | there is no such track, playlist or address |
| 408, 413 | the request's body is too slow or too large |
| 409 | the playlist exists |
| 422 | a field is malformed, or a dimension, tag or the like does not exist |
| 429 | too many analyses wait: try again after the seconds in `Retry-After` |
| 503 | the library cannot be read now, or the server has too many connections |

An error has the form `{"error": {"type": "UnknownTrack", "message": "No such track: 99. ..."}}`.
"""

TITLES = {"server": "Server and library", "tracks": "Tracks", "search": "Search", "playlists": "Playlists"}


def page() -> str:
    """The whole page, as Markdown."""
    from musiczoo.server.app import document

    found = document()
    operations = [
        (method.upper(), path, operation)
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    ]
    lines = [INTRODUCTION]
    for tag in sorted(
        {operation["tags"][0] for _, _, operation in operations}, key=lambda tag: [*TITLES, tag].index(tag)
    ):
        lines += [f"## {TITLES.get(tag, tag.capitalize())}", ""]
        for method, path, operation in operations:
            if operation["tags"][0] == tag:
                lines += _operation(method, path, operation, found["components"]["schemas"])
    lines += ["## Records", ""]
    for name, schema in found["components"]["schemas"].items():
        if not name.startswith("Error"):
            lines += [f"### {name}", "", schema.get("description", ""), "", *_fields(schema), ""]
    return "\n".join(lines)


def _operation(method: str, path: str, operation: Any, schemas: Any) -> Iterator[str]:
    yield from (f"### {method} {path}", "", operation["description"], "")
    if parameters := operation.get("parameters"):
        yield from ("| Parameter | Type | Meaning |", "|---|---|---|")
        for parameter in parameters:
            yield f"| `{parameter['name']}` | {_type(parameter['schema'])} | {_cell(parameter['description'])} |"
        yield ""
    if body := operation.get("requestBody"):
        schema = body["content"]["application/json"]["schema"]
        yield from (f"The body is a {_type(schema)}, such as", "")
        name = schema["$ref"].rpartition("/")[2]
        yield from ("```json", json.dumps(schemas[name]["examples"][0]), "```", "")
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items() if status.startswith("2") else ():
            answer = _type(content["schema"]) if content.get("schema") else f"`{kind}`"
            yield from (f"Answer ({status}): {answer}", "")


def _fields(schema: Any) -> Iterator[str]:
    required = schema.get("required", ())
    yield from ("| Field | Type | Meaning |", "|---|---|---|")
    for name, field in schema.get("properties", {}).items():
        default = "" if name in required or "default" not in field else f" Default: `{json.dumps(field['default'])}`."
        yield f"| `{name}` | {_type(field)} | {_cell(field.get('description', ''))}{default} |"


def _type(schema: Any) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" {low:g} to {high:g}" if low is not None and high is not None and high <= 1e9 else ""
    return f"{schema.get('type', 'any')}{bounds}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def on_files(files: Any, config: Any) -> Any:
    """Add the page."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=page()))
    return files
