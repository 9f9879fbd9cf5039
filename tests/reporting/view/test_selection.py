"""The address of a page: it says all that the page shows, and nothing else gets in."""

import pytest

from raypipe.errors import ConfigError
from raypipe.reporting.view.selection import (
    ColumnFilter,
    ViewSelection,
    fields_of,
    parse_selection,
    whole_number,
)


@pytest.mark.parametrize(
    "selection",
    [
        ViewSelection(),
        ViewSelection(of="0/m/p/greedy", beside="", search="a & b=c", sort="js", page=7),
        ViewSelection(
            beside="1/m/p/w_bon[tau=2]",
            filters=(
                ColumnFilter("facts.gender", "is", "ünder <b>"),
                ColumnFilter("js", "missing"),
                ColumnFilter("js", "above", "0.5"),
            ),
            descending=False,
            side="difference",
        ),
    ],
)
def test_an_address_brings_the_selection_back(selection: ViewSelection) -> None:
    address = selection.address("/x")
    assert parse_selection(fields_of(address.partition("?")[2])) == selection


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("side=left", "side is one of of, beside, difference, not 'left'"),
        ("order=sideways", "order is one of"),
        ("page=0", "page is a whole number from 1 on"),
        ("page=-1", "page is a whole number"),
        ("page=" + "9" * 400, "page is a whole number"),
        ("column=js&is=is", "not as many columns"),
        ("column=js&is=drop&value=1", "is is one of"),
        ("a=1&" * 300, "Max number of fields"),
        ("search=" + "x" * 20_001, "the address has 20008 characters"),
    ],
)
def test_an_address_that_means_nothing_is_refused(query: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_selection(fields_of(query))


def test_a_row_of_the_form_that_is_not_filled_in_is_no_filter() -> None:
    assert parse_selection(fields_of("column=&is=is&value=")).filters == ()


def test_taking_a_filter_away_goes_back_to_the_first_page() -> None:
    rows = tuple(ColumnFilter("js", "above", str(number)) for number in range(3))
    changed = ViewSelection(filters=rows, page=4).without(1)
    assert changed.filters == (rows[0], rows[2])
    assert changed.page == 1


def test_a_number_of_other_digits_is_none() -> None:
    with pytest.raises(ConfigError):
        whole_number("page", "\u0663", least=1)
