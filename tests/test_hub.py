"""Models of the Hugging Face Hub: the real client against a small Hub on the loopback interface."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.command_line import run
from hub_server import TOKEN, Repository
from hub_server import Hub as Server
from toy import CARD, SIZE, write_model

import musiczoo
from musiczoo import hub, registry
from musiczoo.card import CARD_FILE, MODEL_FILE, README_FILE, read_card
from musiczoo.errors import (
    CardError,
    HubError,
    InputError,
    LibraryError,
    MissingDependencyError,
    ModelFileError,
    SpaceMismatchError,
    UnknownNameError,
    WriteError,
)
from musiczoo.export.publish import publish_to_hub

client = pytest.importorskip("huggingface_hub")

ADDRESS = "hf://me/toy"
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A Hub with one model, me/toy, which this process's client uses, with a new cache."""
    from huggingface_hub import constants

    running = Server()
    running.repos["me/toy"] = Repository()
    running.repos["me/toy"].commit(contents(tmp_path / "toy"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # between tries without a network
    monkeypatch.setattr(hub, "client", lambda: client.HfApi(endpoint=running.url, token=TOKEN))
    monkeypatch.setenv(registry.HOME_VARIABLE, str(tmp_path / "home"))
    yield running
    running.close()
    assert running.strange == []


def contents(folder: Path, **changes: Any) -> dict[str, bytes]:
    """The files of a toy model, with changes of its card; readme.md, which the card does not name, is one of them."""
    write_model(folder, dataclasses.replace(CARD, **changes))
    return {path.name: path.read_bytes() for path in folder.iterdir()} | {"notes.bin": b"x" * 1000}


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


# === Addresses ===


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [
        ("hf://me/toy", "me/toy", None),
        ("hf://Me-2/toy.v1_x", "Me-2/toy.v1_x", None),
        ("hf://me/toy@v1.0", "me/toy", "v1.0"),
        ("hf://me/toy@refs/pr/3", "me/toy", "refs/pr/3"),
        (f"hf://me/toy@{SHA}", "me/toy", SHA),
    ],
)
def test_addresses(text: str, repo: str, revision: str | None) -> None:
    at = hub.Address.parse(text)
    assert (at.repo, at.revision, str(at), at.pinned) == (repo, revision, text, revision == SHA)


@pytest.mark.parametrize(
    "text", ["hf://", "hf://toy", "hf://me/", "hf:///toy", "hf://me/toy/x", "hf://me/toy@", "hf://me/../x", "hf://me/toy?x",
             "hf://me/toy@a b", "HF://me/toy", "hf://mé/toy", "hf://me/toy\n", "hf://me/..", "hf://./toy"]
)  # fmt: skip
def test_malformed_addresses(text: str) -> None:
    with pytest.raises(InputError, match=r"Expected hf://user/model or hf://user/model@revision, got"):
        hub.Address.parse(text)


def test_malformed_addresses_wherever_a_model_is_named() -> None:
    for call in (musiczoo.load, registry.find, registry.pull):
        with pytest.raises(InputError, match="Expected hf://user/model"):
            call("hf://toy")
        with pytest.raises(InputError, match=r"no repository named 'me/a--b'.*Check the address"):
            call("hf://me/a--b")


def test_source_of_a_folder(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--me--toy" / "snapshots" / SHA
    assert hub.source_of(snapshot) == f"hf://me/toy@{SHA}"
    assert hub.source_of(snapshot.with_name("main")) is None
    assert hub.source_of(tmp_path / "models--me--toy" / "other" / SHA) is None
    assert hub.source_of(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"source": 1}', '{"source": "hf://me/toy"}', '{"source": "x"}', "[" * 4000, "\xff"]
)
def test_strange_source_files(tmp_path: Path, text: str) -> None:
    (tmp_path / hub.SOURCE_FILE).write_bytes(text.encode("latin-1"))
    assert hub.source_of(tmp_path) is None


# === Load ===


def test_load_gives_the_published_model(server: Server, tmp_path: Path) -> None:
    model, local = musiczoo.load(ADDRESS), musiczoo.load(tmp_path / "toy")
    excerpts = np.random.default_rng(0).uniform(-0.1, 0.1, (2, SIZE)).astype(np.float32)
    np.testing.assert_array_equal(model.embed(excerpts), local.embed(excerpts))
    assert model.card == local.card
    assert model.source == f"{ADDRESS}@{server.repos['me/toy'].refs['main']}"
    assert local.source is None


def test_only_the_card_and_its_files_are_downloaded(server: Server) -> None:
    musiczoo.load(ADDRESS)
    assert server.read() == [CARD_FILE, MODEL_FILE]


def test_revisions(server: Server, tmp_path: Path) -> None:
    repo = server.repos["me/toy"]
    first = repo.refs["main"]
    repo.refs["v1.0"] = first
    second = repo.commit(contents(tmp_path / "toy", version="2"))
    versions = {name: musiczoo.load(f"{ADDRESS}@{name}").card.version for name in ("main", "v1.0", first, second)}
    assert versions == {"main": "2", "v1.0": "1", first: "1", second: "2"}


def test_a_moved_revision(server: Server, tmp_path: Path) -> None:
    repo = server.repos["me/toy"]
    before = musiczoo.load(ADDRESS)
    repo.commit(contents(tmp_path / "toy", version="2"))
    assert musiczoo.load(ADDRESS).card.version == "2"
    requests = len(server.requests)
    assert musiczoo.load(before.source).card.version == "1"
    assert len(server.requests) == requests  # a pinned revision that is in the cache needs no request


def test_a_revision_that_was_removed(server: Server) -> None:
    with pytest.raises(UnknownNameError, match=r"hf://me/toy has no revision 'v9'.*Leave out @v9"):
        musiczoo.load(f"{ADDRESS}@v9")
    with pytest.raises(UnknownNameError, match="no revision"):
        musiczoo.load(f"{ADDRESS}@{SHA}")


@pytest.mark.parametrize("repo", ["me/none", "nobody/toy"])
def test_no_such_repository(server: Server, repo: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"No such repository on the Hub: '{repo}'.*hf auth login"):
        musiczoo.load(f"hf://{repo}")


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        (403, "GatedRepo", HubError, r"Access to hf://me/toy is restricted. Ask for it at http.*/me/toy, then log in"),
        (401, "GatedRepo", HubError, "is restricted"),
        (401, "RepoNotFound", UnknownNameError, "if it is private, log in: hf auth login"),
        (403, "", HubError, r"refused hf://me/toy with HTTP status 403\. Your account or token may not do this"),
        (429, "", HubError, r"HTTP status 429\. Run it again later\."),
        (500, "", HubError, r"HTTP status 500\. Run it again later\."),
    ],
)
def test_a_repository_that_answers_with_an_error(
    server: Server, status: int, code: str, kind: type[Exception], message: str
) -> None:
    server.repos["me/toy"].status = (status, code)
    with pytest.raises(kind, match=message) as caught:
        musiczoo.load(ADDRESS)
    assert isinstance(caught.value, musiczoo.MusicZooError)
    assert TOKEN not in str(caught.value)


def test_a_repository_without_a_model(server: Server) -> None:
    server.repos["me/other"] = Repository()
    server.repos["me/other"].commit({README_FILE: b"# Other"})
    with pytest.raises(ModelFileError, match=r"hf://me/other lacks card.json.*no model of musiczoo"):
        musiczoo.load("hf://me/other")


def test_a_card_that_cannot_be_read(server: Server) -> None:
    server.repos["me/toy"].commit({CARD_FILE: b"{"})
    with pytest.raises(CardError, match="expected JSON"):
        musiczoo.load(ADDRESS)
    assert server.read() == [CARD_FILE]


def test_a_file_that_the_repository_lacks(server: Server) -> None:
    del server.repos["me/toy"].commits[server.repos["me/toy"].refs["main"]][MODEL_FILE]
    with pytest.raises(ModelFileError, match="not complete"):
        musiczoo.load(ADDRESS)


@pytest.mark.parametrize("name", ["../../../evil", "/etc/passwd", "a/b"])
def test_files_outside_the_folder_are_never_asked_for(server: Server, tmp_path: Path, name: str) -> None:
    card = read_card(tmp_path / "toy")
    card = dataclasses.replace(card, files={**card.files, name: "0" * 64})
    server.repos["me/toy"].commit({CARD_FILE: card.to_json().encode()})
    with pytest.raises(ModelFileError, match="expected plain file names"):
        musiczoo.load(ADDRESS)
    assert server.read() == [CARD_FILE]


def test_a_published_file_that_is_damaged(server: Server) -> None:
    server.repos["me/toy"].commit({MODEL_FILE: b"not the model"})
    with pytest.raises(ModelFileError, match=r"hf://me/toy@[0-9a-f]{40}: model.onnx differs from the sha256.*author"):
        musiczoo.load(ADDRESS)
    assert server.read().count(MODEL_FILE) == 2  # once more, and no endless loop


def test_a_damaged_cache_is_repaired(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = registry.find(ADDRESS)
    (folder / MODEL_FILE).resolve().write_bytes(b"a disk that fails")
    assert musiczoo.load(ADDRESS).name == "toy"
    (folder / MODEL_FILE).resolve().write_bytes(b"a disk that fails")
    offline(monkeypatch)
    with pytest.raises(ModelFileError, match="differs from the sha256"):
        musiczoo.load(ADDRESS)


def test_no_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    musiczoo.load(ADDRESS)
    server.close()
    monkeypatch.setattr(server, "close", lambda: None)
    assert musiczoo.load(ADDRESS).name == "toy"  # from the cache
    with pytest.raises(
        HubError, match=r"Cannot reach the Hub at http.*hf://me/new is not in the cache.*Check the network"
    ):
        musiczoo.load("hf://me/new")


def test_offline(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    musiczoo.load(ADDRESS)
    requests = len(server.requests)
    offline(monkeypatch)
    assert musiczoo.load(ADDRESS).name == "toy"
    with pytest.raises(HubError, match=r"hf://me/new is not in the Hub's cache, and HF_HUB_OFFLINE is set"):
        musiczoo.load("hf://me/new")
    assert len(server.requests) == requests


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WriteError, match=r"Cannot use the Hub's cache.*Set HF_HOME"):
        musiczoo.load(ADDRESS)


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (musiczoo.load, registry.pull):
        with pytest.raises(MissingDependencyError, match=r"pip install 'musiczoo\[hub\]'"):
            call(ADDRESS)


# === Pull ===


def test_pull_then_load_by_name(server: Server, tmp_path: Path) -> None:
    sha = server.repos["me/toy"].refs["main"]
    folder = registry.pull(ADDRESS)
    assert folder == tmp_path / "home" / "zoo" / "toy"
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, hub.SOURCE_FILE, MODEL_FILE]
    assert not any(path.is_symlink() for path in folder.iterdir())
    requests = len(server.requests)
    assert musiczoo.load("toy").source == f"{ADDRESS}@{sha}"
    assert len(server.requests) == requests


def test_pull_again_takes_the_newest_revision(server: Server, tmp_path: Path) -> None:
    registry.pull(ADDRESS)
    sha = server.repos["me/toy"].commit(contents(tmp_path / "toy", version="2"))
    registry.pull(ADDRESS)
    assert (musiczoo.load("toy").card.version, musiczoo.load("toy").source) == ("2", f"{ADDRESS}@{sha}")


def test_pull_never_replaces_another_model(server: Server, tmp_path: Path) -> None:
    zoo = tmp_path / "home" / "zoo"
    write_model(zoo / "toy")
    before = (zoo / "toy" / CARD_FILE).read_bytes()
    with pytest.raises(InputError, match=rf"has another model named 'toy'. Use the address.*{ADDRESS}@"):
        registry.pull(ADDRESS)
    assert (zoo / "toy" / CARD_FILE).read_bytes() == before
    registry.pull(ADDRESS, tmp_path / "other")
    server.repos["you/toy"] = server.repos["me/toy"]
    with pytest.raises(InputError, match="has another model"):
        registry.pull("hf://you/toy", tmp_path / "other")


@pytest.mark.parametrize("name", ["proxy", "../evil", "a/b", "", ".hidden"])
def test_pull_of_a_name_that_cannot_be_used(server: Server, tmp_path: Path, name: str) -> None:
    server.repos["me/toy"].commit(contents(tmp_path / "toy", name=name))
    with pytest.raises(InputError, match=r"has another model named 'proxy'|must be a folder name"):
        registry.pull(ADDRESS)
    assert not (tmp_path / "home").exists()


# === Libraries ===


@pytest.fixture
def music(tmp_path: Path, song: Callable[..., Path]) -> Path:
    """A folder with one song."""
    (tmp_path / "music").mkdir()
    song("one.wav").rename(tmp_path / "music" / "one.wav")
    return tmp_path / "music"


def test_a_library_keeps_its_revision(server: Server, tmp_path: Path, music: Path, song: Callable[..., Path]) -> None:
    pinned = f"{ADDRESS}@{server.repos['me/toy'].refs['main']}"
    path = tmp_path / "music.db"
    musiczoo.Library.build(ADDRESS, music, path=path, progress=False).close()
    server.repos["me/toy"].commit(contents(tmp_path / "toy", version="2", space_id="toy-2"))
    song("two.wav", seconds=4).rename(music / "two.wav")
    with musiczoo.Library.open(path) as library:
        assert library.config.source == library.stats()["source"] == pinned
        requests = len(server.requests)
        assert library.index(music, progress=False).added == 1
        assert len(library.search(music / "one.wav")) == 1
        assert len(server.requests) == requests
    assert pinned in run("library", "stats", path).output
    assert json.loads(run("library", "stats", path, "--json").output)["source"] == pinned
    with pytest.raises(SpaceMismatchError, match=rf"'toy-1', got 'toy-2'.*{pinned}"):
        musiczoo.Library.open(path, ADDRESS)
    musiczoo.Library.open(path, pinned).close()


def test_a_library_of_a_loaded_model_and_of_a_pulled_one(server: Server, tmp_path: Path) -> None:
    pinned = f"{ADDRESS}@{server.repos['me/toy'].refs['main']}"
    registry.pull(ADDRESS)
    for number, model in enumerate((musiczoo.load(ADDRESS), "toy", registry.find("toy"), registry.find(ADDRESS))):
        with musiczoo.Library.open_or_create(tmp_path / f"{number}.db", model) as library:
            assert library.config.source == pinned
    with musiczoo.Library.open_or_create(tmp_path / "other.db", tmp_path / "toy") as library:
        assert library.config.source is None
        assert "source" not in library.stats()


def test_a_library_from_elsewhere_opens_no_connection(server: Server, tmp_path: Path, music: Path) -> None:
    path = tmp_path / "music.db"
    musiczoo.Library.build(ADDRESS, music, path=path, progress=False).close()
    (tmp_path / "cache").rename(tmp_path / "gone")
    requests = len(server.requests)
    with musiczoo.Library.open(path) as library:
        with pytest.raises(
            UnknownNameError, match=r"'toy' is not on this computer.*models --pull hf://me/toy@[0-9a-f]{40}"
        ):
            library.index(music, progress=False)
        assert len(server.requests) == requests
        registry.pull(library.config.source)
        assert library.index(music, progress=False).unchanged == 1


@pytest.mark.parametrize("source", ["hf://me/toy", "hf://me/toy@main", "elsewhere", 3])
def test_a_library_with_a_strange_source(source: object) -> None:
    from musiczoo.library.records import LibraryConfig

    values = LibraryConfig.from_card(CARD).to_dict()
    assert "source" not in values
    with pytest.raises(LibraryError, match="configuration"):
        LibraryConfig.from_dict(values | {"source": source})


def test_heads_on_an_encoder_of_the_hub(server: Server) -> None:
    pytest.importorskip("onnx")
    from musiczoo.models.frozen_encoder import open_encoder

    assert open_encoder(ADDRESS).size == 256
    with pytest.raises(UnknownNameError, match="No such repository"):
        open_encoder("hf://me/none")


# === Publish ===


def test_publish_then_load(server: Server, tmp_path: Path) -> None:
    write_model(tmp_path / "export", dataclasses.replace(CARD, name="mine", version="3", space_id="mine-1"))
    upload = publish_to_hub(tmp_path / "export", "hf://me/mine")
    repo = server.repos["me/mine"]
    sha = repo.refs["main"]
    assert upload.address == f"hf://me/mine@{sha}"
    assert sorted(repo.commits[sha]) == sorted(upload.files) == sorted([CARD_FILE, MODEL_FILE, README_FILE])
    assert {name: len(data) for name, data in repo.commits[sha].items()} == {n: f[0] for n, f in upload.files.items()}
    model = musiczoo.load("hf://me/mine")
    assert (model.card.version, model.card.space_id, model.source) == ("3", "mine-1", upload.address)
    text = repo.commits[sha][README_FILE].decode()
    assert client.ModelCard(text).data.library_name == "musiczoo"
    assert 'musiczoo.load("hf://me/mine")' in text
    assert all(token == TOKEN for method, path, token in server.requests if method == "POST" and "yaml" not in path)


def test_publish_again_replaces_the_files(server: Server, tmp_path: Path) -> None:
    write_model(tmp_path / "export", dataclasses.replace(CARD, version="2"))
    first = server.repos["me/toy"].refs["main"]
    publish_to_hub(tmp_path / "export", ADDRESS)
    assert musiczoo.load(ADDRESS).card.version == "2"
    assert musiczoo.load(f"{ADDRESS}@{first}").card.version == "1"


def test_a_dry_run_asks_nobody(server: Server, tmp_path: Path) -> None:
    upload = publish_to_hub(tmp_path / "toy", "hf://me/mine", dry_run=True)
    assert (upload.address, sorted(upload.files)) == ("hf://me/mine", [README_FILE, CARD_FILE, MODEL_FILE])
    assert server.requests == []
    again = publish_to_hub(tmp_path / "toy", "hf://me/mine")
    assert upload.files == again.files


def test_publish_without_the_right_to(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "client", lambda: client.HfApi(endpoint=server.url, token="hf_wrong"))
    with pytest.raises(HubError, match=r"HTTP status 401\. Log in with a valid token: hf auth login"):
        publish_to_hub(tmp_path / "toy", "hf://me/mine")
    monkeypatch.setattr(hub, "client", lambda: client.HfApi(endpoint=server.url, token=TOKEN))
    server.repos["you/toy"] = Repository(status=(403, ""))
    with pytest.raises(HubError, match=r"HTTP status 403\. Your account or token may not do this"):
        publish_to_hub(tmp_path / "toy", "hf://you/toy")


def test_publish_without_a_network(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.close()
    monkeypatch.setattr(server, "close", lambda: None)
    with pytest.raises(HubError, match=r"Cannot reach the Hub at http.*Check the network") as caught:
        publish_to_hub(tmp_path / "toy", ADDRESS)
    assert TOKEN not in str(caught.value)


def test_publish_to_a_revision_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Uploads go to the main branch: expected hf://me/toy, got 'hf://me/toy@v1'"):
        publish_to_hub(tmp_path / "toy", "hf://me/toy@v1")
    assert server.requests == []


# === The command line, with the client's own settings ===


def command(*args: object, server: Server, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run musiczoo in a new process, whose client has the settings that users have."""
    settings = {
        "HF_ENDPOINT": server.url, "HF_HOME": str(home / "hf"), "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1", registry.HOME_VARIABLE: str(home / "musiczoo"), **env,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, *map(str, args)], env={**os.environ, **settings}, capture_output=True, text=True, timeout=120
    )
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_publish_and_pull_from_a_shell_then_load_without_a_network(tmp_path: Path) -> None:
    server = Server()
    where: dict[str, Any] = {"server": server, "home": tmp_path}
    write_model(tmp_path / "export", dataclasses.replace(CARD, name="mine"))
    done = command("-m", "musiczoo", "publish", tmp_path / "export", "--to", "hf://me/mine", **where)
    assert done.returncode == 0, done.stderr
    pinned = done.stdout.splitlines()[-1]
    assert pinned == f"hf://me/mine@{server.repos['me/mine'].refs['main']}"
    pulled = command("-m", "musiczoo", "models", "--pull", "hf://me/mine", **where)
    assert pulled.stdout == f"{tmp_path / 'musiczoo' / 'zoo' / 'mine'}\n", pulled.stderr
    server.close()
    assert server.strange == []
    offline = command("-c", WITHOUT_NETWORK, "hf://me/mine", "hf://me/none", **where, HF_HUB_OFFLINE="1")
    assert offline.stdout.splitlines() == [
        f"mine {pinned}",
        "HubError hf://me/none is not in the Hub's cache, and HF_HUB_OFFLINE is set. With a network, run: "
        "musiczoo models --pull hf://me/none",
    ], offline.stderr
    assert command("-c", WITHOUT_NETWORK, pinned, "mine", **where).stdout.splitlines() == [f"mine {pinned}"] * 2


WITHOUT_NETWORK = """
import sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise AssertionError(f"the network is used: {event} {args}")
sys.addaudithook(refuse)
import musiczoo
for name in sys.argv[1:]:
    try:
        model = musiczoo.load(name)
        print(model.name, model.source)
    except musiczoo.MusicZooError as error:
        print(type(error).__name__, error)
"""


def test_a_dry_run_from_a_shell(server: Server, tmp_path: Path) -> None:
    done = run("publish", tmp_path / "toy", "--to", "hf://me/mine", "--dry-run")
    *files, last = done.stdout.splitlines()
    assert {line.split()[0] for line in files} == {CARD_FILE, MODEL_FILE, README_FILE}
    assert last == "Would be uploaded to hf://me/mine"
    assert server.requests == []


def test_tag_and_pull_by_address(server: Server, tmp_path: Path, song: Callable[..., Path]) -> None:
    done = run("tag", song(seconds=4), "--model", ADDRESS, "--json")
    assert json.loads(done.stdout)["model"] == "toy"
    failed = run("models", "--pull", "hf://me/none")
    assert failed.exit_code == 1
    assert failed.stderr.splitlines()[-1].startswith("error: No such repository on the Hub: 'me/none'")


def test_wrong_options(toy_folder: Path) -> None:
    for options in (["--dry-run"], ["--private"], ["--to", ADDRESS, "--zoo", "x"]):
        assert run("publish", toy_folder, *options).exit_code == 2
