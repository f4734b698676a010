"""Finding models by name."""

from pathlib import Path

import pytest

from musiczoo import registry
from musiczoo.errors import UnknownNameError


@pytest.fixture
def zoos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A packaged and a user's zoo, both empty."""
    packaged, home = tmp_path / "package" / "zoo", tmp_path / "home"
    packaged.mkdir(parents=True)
    monkeypatch.setattr(registry, "packaged_zoo", lambda: packaged)
    monkeypatch.setenv(registry.HOME_VARIABLE, str(home))
    return packaged, home / "zoo"


def put(zoo: Path, name: str) -> Path:
    (zoo / name).mkdir(parents=True)
    (zoo / name / "card.json").write_text("{}")
    return zoo / name


def test_empty_zoos(zoos: tuple[Path, Path]) -> None:
    assert registry.list_models() == []
    with pytest.raises(UnknownNameError, match=r"Unknown model 'any'\. Available: none\."):
        registry.find("any")


def test_both_zoos_are_listed_and_folders_without_a_card_are_not(zoos: tuple[Path, Path]) -> None:
    packaged, user = zoos
    put(packaged, "b"), put(user, "a"), put(user, "c")
    (packaged / "empty").mkdir()
    (user / "notes.txt").touch()
    assert registry.list_models() == ["a", "b", "c"]
    assert registry.find("a") == user / "a"


def test_a_user_s_model_never_replaces_a_packaged_one(zoos: tuple[Path, Path]) -> None:
    packaged, user = zoos
    put(user, "same"), put(packaged, "same")
    assert registry.list_models() == ["same"]
    assert registry.find("same") == packaged / "same"
    assert registry.find(user / "same") == user / "same"
    assert registry.find(str(user / "same")) == user / "same"


def test_names_come_before_folders_of_the_same_name(
    zoos: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged, _ = zoos
    put(packaged, "model"), put(tmp_path, "model")
    monkeypatch.chdir(tmp_path)
    assert registry.find("model") == packaged / "model"
    assert registry.find("./model") == Path("model")
    assert registry.find(Path("model")) == Path("model")


def test_unknown_name_suggests_the_nearest(zoos: tuple[Path, Path]) -> None:
    put(zoos[0], "disentangled-classification"), put(zoos[0], "proxy")
    with pytest.raises(
        UnknownNameError, match=r"Did you mean 'disentangled-classification'\?.*Available: dis.*, proxy"
    ):
        registry.find("disentangled")
    for odd in ("", "nul\0byte", "x" * 5000):
        with pytest.raises(UnknownNameError, match="Unknown model"):
            registry.find(odd)


def test_folders_that_do_not_exist(zoos: tuple[Path, Path]) -> None:
    put(zoos[0], "proxy")
    for path in ("no/such/folder", "./proxy", Path("proxy")):
        with pytest.raises(UnknownNameError, match=r"No such folder: '.*'\. Available models: proxy\."):
            registry.find(path)


def test_a_pattern_selects_models(zoos: tuple[Path, Path]) -> None:
    for name in ("proxy", "disentangled-proxy", "disentangled-triplet", "Disentangled-x"):
        put(zoos[0], name)
    assert registry.list_models("disentangled*") == ["disentangled-proxy", "disentangled-triplet"]
    assert registry.list_models("*proxy") == ["disentangled-proxy", "proxy"]
    assert (
        registry.list_models("pr?xy") == registry.list_models("[op]roxy") == registry.list_models("proxy") == ["proxy"]
    )
    assert registry.list_models("nothing*") == []
    assert registry.list_models("*") == registry.list_models()


def test_the_user_s_zoo_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.HOME_VARIABLE)
    assert registry.user_zoo() == Path.home() / ".musiczoo" / "zoo"


def test_the_package_s_own_zoo_exists() -> None:
    assert registry.packaged_zoo().is_dir()
    assert all(registry.find(name).parent == registry.packaged_zoo() for name in registry.list_models())
