"""The three files: their content."""

import copy
import json
import re
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sample_report import LABELS, model, report, whole_report

from musiczoo.errors import InputError, MissingDependencyError
from musiczoo.evaluation.report import published, render, write

VOID = {"meta", "link", "br", "img", "input", "hr"}
TASKS = ("tagging", "retrieval", "retrieval_whole", "triplets", "time", "agreement", "projection")


class Page(HTMLParser):
    """Checks nesting; gathers text, tags and attributes."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.texts, self.styles = [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.styles if "style" in self.open else self.texts).append(data)

    @property
    def text(self):
        return " ".join(self.texts)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def metrics_of(model, path=()):
    """Every number of a model's tasks that has a place in a table: (how it reads, where it is from)."""
    for key, value in model.items():
        here = (*path, key)
        if here[0] not in TASKS or "reliability" in here or here[0] == "projection" or key in ("interval", "count"):
            continue
        if isinstance(value, dict):
            yield from metrics_of(value, here)
        elif isinstance(value, int | float):
            if "recall" in here or "hit_rate" in here:
                yield f"{100 * value:.1f}", here
            elif here[0] == "time":
                yield {"seconds_per_epoch": f"{value:.1f}", "epochs_to_stop": f"{value}"}.get(key, f"{value:.2f}"), here
            elif key in ("positives", "queries"):
                yield str(value), here
            else:
                yield (f"{value:.2f}" if "top_k_overlap" in here else f"{value:.3f}"), here


def test_writes_three_files(tmp_path):
    paths = write(whole_report(), tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["report.json", "report.md", "report.html"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["report.html", "report.json", "report.md"]
    assert json.loads(paths[0].read_text(encoding="utf-8")) == whole_report()


def test_every_metric_is_in_markdown_and_page():
    source = whole_report()
    texts = {"markdown": render.markdown(source), "page": Page(render.page(source)).text}
    expected = {item for model in source["models"] for item in metrics_of(model)}
    assert len(expected) > 100
    for name, text in texts.items():
        shown = set(re.findall(r"[\d.]+\d|\d", text))
        assert {(number, where) for number, where in expected if number not in shown} == set(), name


def test_every_interval_of_the_tables_is_in_both():
    """ROC-AUC of triplet: 0.62 + 0.101 with +-0.02; R@1: 0.32 with +-0.02, in percent."""
    for text in (render.markdown(whole_report()), Page(render.page(whole_report())).text):
        assert "0.701 to 0.741" in text
        assert "30.0 to 34.0" in text


def test_the_papers_table_stands_beside_ours_with_the_same_columns():
    text = render.markdown(whole_report())
    header = "| Model | Time ratio | R@1 | R@2 | R@4 | R@8 | AUC | Track triplets | Human triplets |"
    assert text.count(header) == 2
    assert "| proxy | 1.11 | **45.0** | **58.5** | **71.0** | **80.9** | **0.890** | 0.978 | 0.784 |" in text
    assert "| triplet | **2.73** | 32.0 | 39.0 | 46.0 | 53.0 | 0.721 | 0.827 | – |" in text
    assert "Ours: open\\_music, test, 51 tracks." in text


def test_the_best_of_a_column_is_bold_as_in_the_paper():
    """All that read alike are the best; a column with one metric, or equal ones, has none."""
    lines = [line for line in render.markdown(whole_report()).splitlines() if line.startswith("| disentangled-classif")]
    assert "**80.9** | **0.890** | **0.984** | 0.801 |" in lines[0]
    assert "**0.791** | **0.897** | – |" in lines[1]
    alone = render.markdown(report(model("triplet", 0.62))).split("Ours:")[1]
    assert "**" not in alone.split("Do the paper")[0]


def test_tags_left_out_are_named():
    for text in (render.markdown(whole_report()), Page(render.page(whole_report())).text):
        assert "because too few tracks have or lack the tag (1): guitar." in text
    assert "| guitar \\* | 1 | – | – | – |" in render.markdown(whole_report())
    assert "1 of 2" in render.markdown(whole_report())


@pytest.mark.parametrize(
    ("name", "teachers", "expected"),
    [
        ("open_music", ["musicnn-msd"], "agreeing with another model is not the same task. What can be compared with"),
        ("jamendo", ["annotations"], "people gave to other music. What can be compared with the paper is the order"),
        ("msd", ["annotations"], "the metrics can be compared with the paper's"),
    ],
)
def test_the_first_paragraph_says_where_labels_come_from_and_what_can_be_compared(name, teachers, expected):
    source = whole_report()
    source["data"] |= {"name": name, "teachers": teachers}
    first = render.markdown(source).split("\n\n")[1]
    assert first.startswith(LABELS + ". ")
    assert expected in first
    html = render.page(source)
    assert html.index(LABELS) < html.index("<h2>")


def test_the_page_asks_for_nothing_from_elsewhere():
    found = Page(render.page(whole_report()))
    for tag, attrs in found.tags:
        assert tag not in ("script", "link", "img", "iframe", "object"), tag
        for name in ("src", "href", "xlink:href", "data", "srcset"):
            assert attrs.get(name, "#").startswith("#"), (tag, attrs)
    assert "url(" not in "".join(found.styles)
    assert "@import" not in "".join(found.styles)


def test_the_page_is_accessible():
    found = Page(render.page(whole_report()))
    assert found.all("html") == [{"lang": "en"}]
    assert len(found.all("h1")) == 1
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 20 for svg in found.all("svg"))
    assert len(found.all("svg")) >= 5 + 4 + 2 + 3 + 4 + 2  # triplets, R@K, tags, reliability, projection, time
    assert all(cell.get("scope") in ("col", "row") for cell in found.all("th"))
    assert len(found.all("figcaption")) == len(found.all("figure"))
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in found.all("a")} == {f"#{name}" for name in ids}


def test_no_text_is_small_and_no_drawing_wider_than_a_phone():
    found = Page(render.page(whole_report()))
    sizes = re.findall(r"font(?:-size)?: *([\d.]+)(px|rem|pt)", "".join(found.styles))
    assert sizes
    for size, unit in sizes:
        assert float(size) * {"px": 1, "rem": 16, "pt": 96 / 72}[unit] >= 12
    assert all(float(svg["width"]) <= 320 for svg in found.all("svg"))


@pytest.mark.parametrize("task", TASKS)
def test_a_report_without_a_task_or_with_one_alone_renders(task):
    without, alone = whole_report(), whole_report()
    for entry in without["models"]:
        del entry[task]
    for entry in alone["models"]:
        for other in set(TASKS) - {task}:
            del entry[other]
    for source in (without, alone):
        Page(render.page(source))
        assert render.markdown(source)


def nulled(value):
    """The same with each number of the tasks undefined."""
    if isinstance(value, dict):
        return {key: nulled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [nulled(item) for item in value]
    return None if isinstance(value, float) else value


def test_a_report_without_a_single_number_renders():
    source = whole_report()
    for entry in source["models"]:
        for task in set(TASKS) - {"projection"}:
            entry[task] = nulled(entry[task])
    Page(render.page(source))
    assert "cannot be decided" in render.page(source).lower()
    assert render.markdown(source)


@pytest.mark.parametrize("models", [(), (model("mine", 0.6),), tuple(published.models())])
def test_no_model_one_model_and_all_models_render(models, tmp_path):
    assert len(write(report(*models), tmp_path)) == 3
    Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_what_was_not_measured_is_said():
    source = whole_report()
    source["models"][0] |= {"skipped": {"time": "no training times"}}
    source["models"][1]["triplets"]["dim_sim_left_out"] = "clip 7 is missing"
    source["models_left_out"] = [{"name": "vgg-msd", "reason": "not imported"}]
    for text in (render.markdown(source), Page(render.page(source)).text):
        for part in ("no training times", "clip 7 is missing", "not imported", "cannot be decoded", "song-7"):
            assert part in text


NASTY = st.text(st.sampled_from("<>&\"'|*_`[]\\{}%$#\n a"), min_size=1, max_size=12)


@settings(max_examples=15)
@given(name=NASTY, tag=NASTY, reason=NASTY)
@example(name='<i> "', tag="<u>&lt;", reason="<s>")
def test_names_are_shown_as_they_are(name, tag, reason):
    source = report(model(name, 0.6, disentangled=True))
    entry = source["models"][0]
    entry["tagging"]["tags"] = {tag: entry["tagging"]["tags"]["rock"]}
    entry["projection"]["highlight"] = {tag: [True, False, False, True]}
    entry["skipped"] = {"time": reason}
    source["data"] |= {"name": name, "tag_counts": {tag: 3}, "tracks_left_out": [{"id": tag, "reason": reason}]}
    found = Page(render.page(source))
    plain = Page(render.page(whole_report()))
    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in plain.tags} | {"li"}
    shown = " ".join(found.text.split())
    for text in (name, tag, reason):
        assert " ".join(text.split()) in shown
    for line in render.markdown(source).splitlines():
        assert not re.search(r"<|&(?!amp;|lt;)", line)
        if line.startswith("|"):
            assert line.endswith("|")
    tables = re.findall(r"(?:^\|.*\n)+", render.markdown(source), re.MULTILINE)
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


def test_refuses_what_does_not_fit_into_json(tmp_path):
    for value in (float("nan"), float("inf"), {1, 2}):
        source = whole_report()
        source["models"][0]["time"]["ratio"] = value
        with pytest.raises(InputError, match="Use None"):
            write(source, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_refuses_another_format(tmp_path):
    with pytest.raises(InputError, match="format 1, got 2"):
        write(whole_report() | {"format": 2}, tmp_path)


def test_keys_that_are_numbers_read_like_strings(tmp_path):
    """K is a number until the report has been JSON."""
    source = whole_report()
    for entry in source["models"]:
        part = entry["retrieval"]["all"]
        part["recall"] = {int(k): value for k, value in part["recall"].items()}
    write(source, tmp_path / "numbers")
    write(whole_report(), tmp_path / "strings")
    texts = [(tmp_path / name / "report.md").read_text(encoding="utf-8") for name in ("numbers", "strings")]
    assert texts[0] == texts[1]


def test_without_jinja_the_other_files_are_written(tmp_path, monkeypatch):
    render._template.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"musiczoo\[report\]"):
        write(whole_report(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.md"}


def test_rendering_changes_nothing_in_the_report():
    source = whole_report()
    before = copy.deepcopy(source)
    render.page(source)
    render.markdown(source)
    assert source == before
