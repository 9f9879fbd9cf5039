import pytest

from raypipe.errors import ConfigError
from raypipe.explain.classify.decisions import Decision, from_csv, reviewed, to_csv

ROWS = [
    Decision("gloomy", "sadness", "word_map", 3),
    Decision('a "weird"\nthing, say', "", "none", 5),
]


def test_a_file_holds_what_was_decided_the_most_frequent_first():
    text = to_csv(ROWS, "phrase", "label")
    assert text.splitlines()[0] == "phrase,label,decided_by,count"
    read = from_csv(text, "phrase", "label", "groups.csv")
    assert [(row.key, row.value, row.decided_by) for row in read.values()] == [
        ('a "weird"\nthing, say', "", "none"),
        ("gloomy", "sadness", "word_map"),
    ]


def test_what_was_changed_is_a_persons():
    written = {row.key: row for row in ROWS}
    edited = {
        "gloomy": Decision("gloomy", "fear", "word_map"),
        "new": Decision("new", "anger", "word_map"),
    }
    decided = reviewed(written, edited)
    assert {row.decided_by for row in decided.values()} == {"person"}
    same = {"gloomy": Decision("gloomy", "sadness", "word_map")}
    assert reviewed(written, same)["gloomy"].decided_by == "word_map"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word,label\n", "first line must be phrase,label"),
        ("phrase,label\nsad,sorrow\n", "line 2: label 'sorrow' is none of anger"),
        ("phrase,label\nsad,anger\nsad,anger\n", "line 3: phrase 'sad' stands there twice"),
        ("phrase,label\nsad\n", "line 2: label is missing"),
    ],
)
def test_a_broken_file_is_refused_by_line(text, message):
    with pytest.raises(ConfigError, match=message):
        from_csv(text, "phrase", "label", "groups.csv", allowed=("anger", ""))
