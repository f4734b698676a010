"""A small Hub on the loopback interface: the routes that huggingface_hub uses to read and write models.

Routes: ``resolve`` (HEAD and GET), ``api/repos/create``, ``api/validate-yaml``, ``preupload``, Git LFS (batch and PUT),
``commit`` and ``revision``. A request of any other kind is answered with status 501, and `Hub.strange` lists it.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_atokenthatnobodymaysee"


@dataclass
class Repository:
    """A repository: commits, oldest first, and what the branches and tags point to.

    Attributes:
        commits: Commit -> file -> content.
        refs: Branch or tag -> commit.
        status: Status and error code of every answer, such as ``(403, "GatedRepo")``; None to serve the files.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    status: tuple[int, str] | None = None

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add or replace files; return the commit."""
        merged = {**self.commits.get(self.refs.get(branch, ""), {}), **files}
        text = "".join(f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in sorted(merged.items()))
        sha = hashlib.sha1(f"{len(self.commits)} {text}".encode()).hexdigest()
        self.commits[sha], self.refs[branch] = merged, sha
        return sha


class Hub:
    """The server. `requests` has the method, path and token of each request."""

    def __init__(self) -> None:
        """Start it."""
        self.repos: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.strange: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop it: connections are refused from now on."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def read(self) -> list[str]:
        """The files that were downloaded."""
        return [path.rpartition("/")[2] for method, path, _ in self.requests if method == "GET" and "/resolve/" in path]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer_any()

    do_GET = do_POST = do_PUT = do_HEAD

    def _answer_any(self) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, token))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        for method, pattern, answer in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                if self.command == "POST" and token != TOKEN and answer is not _Handler._validate:
                    return self._error(401, "")
                return answer(self, body, *found.groups())
        self.hub.strange.append(f"{self.command} {path}")
        return self._error(501, "")

    def _resolve(self, _: bytes, repo: str, revision: str, name: str) -> None:
        repository = self._repository(repo)
        if repository is None:
            return
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            return self._error(404, "RevisionNotFound")
        data = repository.commits[commit].get(name)
        if data is None:
            return self._error(404, "EntryNotFound", {"X-Repo-Commit": commit})
        etag = hashlib.sha256(data).hexdigest()
        self._send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "none"})

    def _revision(self, _: bytes, repo: str, revision: str | None = None) -> None:
        repository = self._repository(repo)
        if repository is None:
            return
        sha = repository.refs.get(revision or "main", revision or "")
        files = [{"rfilename": name} for name in repository.commits.get(sha, {})]
        self._json({"id": repo, "sha": sha, "siblings": files, "private": False, "tags": []})

    def _create(self, body: bytes) -> None:
        values = json.loads(body)
        repo = f"{values['organization']}/{values['name']}"
        if repo in self.hub.repos and self.hub.repos[repo].status:
            return self._error(*self.hub.repos[repo].status)
        if repo in self.hub.repos:
            return self._json({"url": f"{self.hub.url}/{repo}", "error": "You already created this model repo"}, 409)
        self.hub.repos[repo] = Repository()
        return self._json({"url": f"{self.hub.url}/{repo}", "name": repo})

    def _validate(self, body: bytes) -> None:
        """Check the metadata as far as they must be for the Hub to show them."""
        try:
            data = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            for key in ("license", "library_name", "pipeline_tag"):
                assert isinstance(data[key], str), key
            assert all(isinstance(tag, str) for tag in data["tags"])
            for model in data.get("model-index", []):
                for result in model["results"]:
                    assert result["task"]["type"], "a task needs a type"
                    assert result["dataset"]["type"], "a data set needs a type"
                    assert result["dataset"]["name"], "a data set needs a name"
                    assert all(metric["type"] and metric["value"] is not None for metric in result["metrics"])
        except (AssertionError, KeyError, TypeError, IndexError, yaml.YAMLError) as error:
            return self._json({"errors": [{"message": repr(error)}], "warnings": []}, 400)
        return self._json({"errors": [], "warnings": []})

    def _preupload(self, body: bytes, repo: str, _: str) -> None:
        if self._repository(repo) is None:
            return
        files = [
            {
                "path": f["path"],
                "uploadMode": "lfs" if f["path"].endswith(".onnx") else "regular",
                "shouldIgnore": False,
            }
            for f in json.loads(body)["files"]
        ]
        self._json({"files": files})

    def _batch(self, body: bytes, repo: str) -> None:
        objects = [
            {**wanted, "actions": {"upload": {"href": f"{self.hub.url}/objects/{wanted['oid']}"}}}
            for wanted in json.loads(body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _put(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        self._send(200, b"", {})

    def _commit(self, body: bytes, repo: str, branch: str) -> None:
        repository = self._repository(repo)
        if repository is None:
            return
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            else:
                assert line["key"] == "header"
        sha = repository.commit(files, branch)
        self._json({"commitUrl": f"{self.hub.url}/{repo}/commit/{sha}", "commitOid": sha, "success": True})

    def _repository(self, repo: str) -> Repository | None:
        found = self.hub.repos.get(repo)
        if found is None:
            self._error(404, "RepoNotFound")
        elif found.status is not None:
            self._error(*found.status)
            return None
        return found

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"{}", {**({"X-Error-Code": code} if code else {}), **(headers or {})})

    def _json(self, values: Any, status: int = 200) -> None:
        self._send(status, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True  # so that `Hub.close` ends the service


_REPO = r"([^/]+/[^/]+?)"
_ROUTES: list[tuple[tuple[str, ...], str, Any]] = [
    (("HEAD", "GET"), rf"/{_REPO}/resolve/([^/]+)/(.+)", _Handler._resolve),
    (("GET",), rf"/api/models/{_REPO}(?:/revision/(.+))?", _Handler._revision),
    (("POST",), r"/api/repos/create", _Handler._create),
    (("POST",), r"/api/validate-yaml", _Handler._validate),
    (("POST",), rf"/api/models/{_REPO}/preupload/(.+)", _Handler._preupload),
    (("POST",), rf"/{_REPO}\.git/info/lfs/objects/batch", _Handler._batch),
    (("PUT",), r"/objects/(\w+)", _Handler._put),
    (("POST",), rf"/api/models/{_REPO}/commit/(.+)", _Handler._commit),
]
