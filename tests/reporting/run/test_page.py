import re
from html.parser import HTMLParser

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.reporting.run.page import html_report
from raypipe.store.run_record import RunCounts

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = "<script>alert('$x$')</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser reads them; refuses open tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(made_up_run):
    return html_report(*made_up_run)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_page_is_well_formed_and_loads_nothing(page):
    policies = [a["content"] for a in page.named("meta") if "http-equiv" in a]
    nothing = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
    assert policies == [nothing]
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "img"})
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")


def test_ids_are_unique_outside_figures_and_labels_point_to_them(page):
    ids = [
        attributes["id"] for tag, attributes in page.tags if "id" in attributes and tag != "path"
    ]
    ids = [name for name in ids if not re.fullmatch(r"[pm][0-9a-f]{10}", name)]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name) in (None, *ids)


def test_every_figure_says_in_words_what_it_shows(page):
    figures = page.named("svg")
    assert len(figures) == 6
    assert all(figure["role"] == "img" and figure["aria-label"] for figure in figures)
    assert any("JS by strategy: greedy 0." in figure["aria-label"] for figure in figures)


def test_every_column_and_row_has_a_header_with_its_scope(page):
    assert all(header["scope"] in ("col", "row") for header in page.named("th"))


def test_figures_take_every_colour_from_the_page(html):
    for figure in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        drawn = re.findall(r"<(?:path|use|text)[^>]*(?:fill|stroke): (#\w+)[^>]*/?>", figure)
        assert not [colour for colour in drawn if colour.startswith(("#0", "#06"))]
        assert "font-family" not in figure


def test_the_prior_and_uniform_rows_are_marked_as_references(page):
    assert page.text.count("reference") >= 2
    assert "prior reference" in page.text
    assert "uniform reference" in page.text


def test_the_page_says_what_replicates_drew(made_up_run, page):
    assert "Poisson bootstrap over utterances." in page.text
    drawn = made_up_run.run.changed(config={"metrics": {"draw": "speakers"}})
    html = html_report(*made_up_run._replace(run=drawn))
    assert "Poisson bootstrap over speakers." in Page(html).text


def test_the_headline_names_the_best_strategy(page):
    assert "w_bon is closest to the annotators: JS 0.095" in page.text


def test_counts_of_the_run_are_on_the_page(page):
    assert "207 utterances in = 200 predicted + 7 errors" in page.text
    assert not [a for a in page.named("p") if a.get("class") == "alert"]


def test_streamed_parts_give_the_page_of_the_whole(made_up_run, html):
    run, metrics, predictions, errors, labels = made_up_run
    parts = (predictions.slice(at, 37) for at in range(0, predictions.num_rows, 37))
    assert html_report(run, metrics, parts, errors, labels) == html


def _with_column(table, name, value):
    column = pa.array([value] * table.num_rows, pa.string())
    return table.set_column(table.column_names.index(name), name, column)


def test_hostile_text_stays_text(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    for name in ("utterance_id", "dataset", "parse_rule", "invalid_reason", "model", "prompt"):
        predictions = _with_column(predictions, name, HOSTILE)
    for name in ("shard", "utterance_id", "stage", "error_type", "message"):
        errors = _with_column(errors, name, HOSTILE)
    for name in ("model", "prompt"):
        metrics = _with_column(metrics, name, HOSTILE)
    strategy = pc.replace_substring(metrics["strategy"], "w_bon", HOSTILE)
    metrics = metrics.set_column(2, "strategy", strategy)
    asked = pc.replace_substring(predictions["strategy"], "w_bon", HOSTILE)
    at = predictions.column_names.index("strategy")
    predictions = predictions.set_column(at, "strategy", asked)
    texts = dict.fromkeys(("name", "run", "fingerprint", "started"), HOSTILE)
    tables = {"config": {HOSTILE: HOSTILE}, "versions": {HOSTILE: HOSTILE}}
    run = run.changed(**texts, **tables, labels=[HOSTILE])
    html = html_report(run, metrics, predictions, errors, labels)
    assert "<script" not in html
    assert "<img" not in html
    page = Page(html)
    assert HOSTILE in page.text
    assert "<script>alert('$x$')" in (page.named("svg")[0]["aria-label"] or "")


def test_labels_with_markup_stay_text(made_up_run):
    run, metrics, predictions, errors, _ = made_up_run
    odd = LabelSet(("<b>anger", '"disgust', "fear & co", "$\\frac{$", "怒り", "sadness"))
    html = html_report(run, metrics, predictions, errors, odd)
    assert "<b>anger" not in html
    assert "&lt;b&gt;anger" in html
    Page(html)


def test_control_characters_never_reach_the_page(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    dirty = "a\x1b[31mb\x00c\u202ed\x9b"
    errors = _with_column(errors, "message", dirty)
    html = html_report(run.changed(name=dirty), metrics, predictions, errors, labels)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", html)
    assert "abcd" in html


def test_a_run_without_labelled_utterances_says_so(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    for name in ("soft_label", "plurality", "js", "true_entropy"):
        at = predictions.column_names.index(name)
        nulls = pa.nulls(predictions.num_rows, predictions.schema.field(name).type)
        predictions = predictions.set_column(at, name, nulls)
    page = Page(html_report(run, metrics.slice(0, 0), predictions, errors, labels))
    assert "No utterance carries annotators' votes, so nothing is scored." in page.text
    assert "The metrics table is empty." in page.text
    assert "Mean share of each label" in page.text


def test_a_run_of_invalid_answers_says_so(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    invalid = predictions.filter(pc.invert(predictions["valid"]))
    page = Page(html_report(run, metrics.slice(0, 0), invalid, errors, labels))
    expected = f"No strategy gave a valid answer: all {invalid.num_rows} predictions are invalid."
    assert expected in page.text
    assert "no number in the answer" in page.text


def test_a_run_without_predictions_or_errors_says_so(made_up_run):
    run, metrics, _, errors, labels = made_up_run
    run = run.changed(counts=RunCounts(input=0, predicted=0, errors=0, strategies={}))
    html = html_report(run, metrics.slice(0, 0), [], errors.slice(0, 0), labels)
    page = Page(html)
    assert "No utterance was predicted" in page.text
    assert "No errors: every utterance was processed." in page.text
    assert page.named("svg") == []


def test_columns_of_nothing_but_nulls_are_read(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    bare = predictions.select(["utterance_id", "strategy", "probs", "predicted", "valid"])
    page = Page(html_report(run, metrics.slice(0, 0), bare, errors, labels))
    assert "No utterance carries annotators' votes" in page.text


def test_what_a_record_does_not_say_is_visible(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    bare = run.changed(name="", versions={}, seconds=None, counts=None)
    page = Page(html_report(bare, metrics, predictions, errors, labels))
    assert "unnamed run" in page.text
    assert page.text.count("not recorded") == 1 + 1  # how long it took; versions
    assert "? utterances in" in page.text


def test_counts_that_do_not_add_up_are_shouted(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    run = run.changed(counts=RunCounts(input=208, predicted=200, errors=7, strategies={}))
    page = Page(html_report(run, metrics, predictions, errors, labels))
    assert "The counts do not add up: 208 utterances in" in page.text


def test_a_silenced_run_is_shown_as_an_ablation(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    run = run.changed(config={"audio": {"replace_with": "silence"}})
    page = Page(html_report(run, metrics, predictions, errors, labels))
    assert "every clip was replaced with silence" in page.text


def test_a_head_of_the_errors_is_called_one(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    page = Page(html_report(run, metrics, predictions, errors.slice(0, 2), labels))
    assert "7 utterances could not be processed." in page.text
    assert "Listed here: the first 2." in page.text


def test_predictions_over_other_labels_are_refused(made_up_run):
    run, metrics, predictions, errors, _ = made_up_run
    with pytest.raises(ConfigError, match=r"distributions of \[6\] entries"):
        html_report(run, metrics, predictions, errors, LabelSet(("anger", "neutral")))


def test_two_prompts_are_told_apart_by_name(made_up_run):
    run, metrics, predictions, errors, labels = made_up_run
    other = _with_column(metrics, "prompt", "distribution+cot")
    both = pa.concat_tables([metrics, other])
    page = Page(html_report(run, both, predictions, errors, labels))
    assert page.text.count("distribution+cot greedy") == 1  # a heading, and the first below it
    alone = "w_bon · distribution and w_bon · distribution+cot cannot be told apart"
    assert alone in page.text
    assert "prior baseline" in page.text


@pytest.fixture(scope="module")
def grid_page(made_up_run, grid):
    run, _, predictions, errors, labels = made_up_run
    other = _with_column(predictions, "prompt", "other")
    one = RunCounts(input=207, predicted=200, errors=7, strategies={})
    counts = RunCounts(
        input=414, predicted=400, errors=14, strategies={}, utterances=207, cells=(one, one)
    )
    both = pa.concat_tables([predictions, other])
    return Page(html_report(run.changed(counts=counts), grid, both, errors, labels))


def test_every_model_and_prompt_has_its_rows_and_figures(grid_page):
    page = grid_page
    titles = [
        "Qwen2-Audio-7B-Instruct · distribution",
        "Qwen2-Audio-7B-Instruct · an-own-prompt-with-a-rather-long-name",
        "tiny-alm · distribution",
        "tiny-alm · an-own-prompt-with-a-rather-long-name",
    ]
    places = [page.text.index(f"{title} greedy 0.") for title in titles]
    assert places == sorted(places)
    assert page.text.index("references prior reference") > places[-1]
    words = [figure["aria-label"] for figure in page.named("svg")]
    assert sum(label.startswith("JS by ambiguity bin") for label in words) == len(titles)
    assert sum(label.startswith("JS by tokens per utterance") for label in words) == len(titles)
    (bars,) = (label for label in words if label.startswith("JS by strategy"))
    assert bars.count("greedy · ") == len(titles)


def test_costs_stand_beside_the_scores(grid_page):
    page = grid_page
    assert "Tokens Calls Escalated" in page.text
    row = page.text[page.text.index("alm_v 0.220") :]
    found = row[:400].replace("\N{NO-BREAK SPACE}", " ")
    assert "13,300 [12,901, 13,699] 4.2 [4.1, 4.3] \N{EN DASH}" in found


def test_without_known_costs_the_page_says_nothing_of_them(page):
    assert "Tokens" not in page.text
    assert "Cost and quality" not in page.text


def test_predictions_of_several_cells_are_counted_cell_by_cell(grid_page):
    assert "Figures and tables made from single predictions rest on" not in grid_page.text
    assert "each utterance under 2 models and prompts" in grid_page.text


def test_the_page_says_how_long_each_kind_of_question_took(made_up_run):
    run, *tables = made_up_run
    rows = [
        {"model": "one", "question": "greedy", "asked": 200, "seconds": 12.345},
        {"model": "two", "question": "greedy", "asked": 1, "seconds": 0.5},
    ]
    page = Page(html_report(run.changed(timings=rows[:1]), *tables))
    assert "Time: greedy 12.3 s for 200 answers" in " ".join(page.text.split())
    page = Page(html_report(run.changed(timings=rows), *tables))
    assert "Time: greedy (two) 0.5 s for 1 answers" in " ".join(page.text.split())
