"""``raypipe sheets``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Endpoint
from raypipe.reporting.console import Console

sheets = typer.Typer(
    help="Listening sheets for human raters, and what their answers come to.",
    no_args_is_help=True,
)


@sheets.command("make")
def make(
    answers: Annotated[
        str, typer.Argument(help="Explained answers: .parquet, .jsonl or a folder of the former.")
    ],
    shards: Annotated[str, typer.Option(help="Corpus with the recordings, a path or s3:// URI.")],
    output: Annotated[Path, typer.Option(help="Folder for sheets/ and key.json; a new one.")],
    gold: Annotated[
        str | None,
        typer.Option(help="Rationales of the reference labels, for Test II: rationales_test_ii/."),
    ] = None,
    system: Annotated[str, typer.Option(help="Name of the model; in the key only.")] = "model",
    items: Annotated[int, typer.Option(min=2, help="Items of each test.")] = 32,
    raters: Annotated[int, typer.Option(min=1, help="Number of sheets.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of items, orders and sides.")] = 0,
    note: Annotated[str | None, typer.Option(help="Text at the head of every sheet.")] = None,
    endpoint: Endpoint = None,
) -> None:
    """Write one offline page for every rater, and the key that none of them may see."""
    from raypipe.errors import ConfigError
    from raypipe.explain.answers import read_answers, read_gold_rationales
    from raypipe.explain.sheets.choosing import choose_test_i, choose_test_ii
    from raypipe.explain.sheets.clips import clips_of
    from raypipe.explain.sheets.sheet import rater_sheets, study_key
    from raypipe.reporting.sheets.page import html_sheet
    from raypipe.store.location import Location

    console = Console()
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is no folder")
    if output.exists() and any(output.iterdir()):
        raise ConfigError(f"{output} is not empty; sheets that were sent out are not overwritten")
    rows = read_answers(answers, endpoint)
    test_i = choose_test_i(rows, item_count=items, seed=seed)
    chosen, notes = list(test_i.items), list(test_i.notes)
    if gold is not None:
        test_ii = choose_test_ii(
            rows,
            read_gold_rationales(gold, endpoint),
            item_count=items,
            seed=seed,
            avoid={item.utterance_id for item in test_i.items},
        )
        chosen += test_ii.items
        notes += test_ii.notes
    clips = clips_of(Location.parse(shards, endpoint), {item.utterance_id for item in chosen})
    key = study_key(
        test_i.items, chosen[len(test_i.items) :], system=system, raters=raters, seed=seed
    )
    (output / "sheets").mkdir(parents=True, exist_ok=True)
    for sheet in rater_sheets(key, chosen, clips):
        name = f"rater-{sheet.rater:02d}.html"
        (output / "sheets" / name).write_text(html_sheet(sheet, note), encoding="utf-8")
    (output / "key.json").write_text(key.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for note in notes:
        console.print(f"Note: {note}", highlight=False, markup=False)
    counts = f"{len(test_i.items)} items of Test I, {len(chosen) - len(test_i.items)} of Test II"
    console.print(
        f"study {key.study}: {counts}; one page for each of {raters} raters in {output}/sheets, "
        f"the key in {output}/key.json stays with you",
        highlight=False,
        markup=False,
    )


@sheets.command("collect")
def collect(
    answers: Annotated[list[Path], typer.Argument(help="Files that raters sent back.")],
    key: Annotated[Path, typer.Option(help="key.json of the study.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for judgements.parquet and rates.parquet.")
    ] = None,
    allow_open: Annotated[
        bool, typer.Option(help="Take files in which items have no answer.")
    ] = False,
) -> None:
    """Show accept and preference rates with intervals, and how far raters agree."""
    from raypipe.errors import ConfigError
    from raypipe.explain.sheets.collecting import judgements_table, read_judgements
    from raypipe.explain.sheets.key import key_from_json
    from raypipe.explain.sheets.rates import METHOD, rates_table, sheet_rates
    from raypipe.reporting.sheets.terminal import rates_in_terminal
    from raypipe.store.parquet import to_parquet_bytes

    try:
        text = key.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key}: cannot be read: {error}") from error
    study = key_from_json(text, str(key))
    collected = read_judgements(answers, study, allow_open=allow_open)
    rates = sheet_rates(collected.judgements)
    console = Console()
    console.print(rates_in_terminal(rates))
    console.print(
        f"{METHOD}. Agreement: kappa of Fleiss, nominal alpha of Krippendorff.", highlight=False
    )
    for rater, items in collected.open_items.items():
        console.print(f"Rater {rater}: {len(items)} items without an answer", highlight=False)
    if collected.absent:
        absent = ", ".join(map(str, collected.absent))
        console.print(f"No file of raters {absent} of {study.raters}", highlight=False)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for name, table in (
            ("judgements", judgements_table(collected.judgements, study.study)),
            ("rates", rates_table(rates, study.study)),
        ):
            data = to_parquet_bytes(table, {"raypipe.interval": METHOD})
            (output / f"{name}.parquet").write_bytes(data)
        console.print(f"judgements.parquet and rates.parquet in {output}", highlight=False)
