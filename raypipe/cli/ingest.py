"""``raypipe ingest``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import Address, Endpoint, Insecure, pairs
from raypipe.reporting.console import Console
from raypipe.votes import ClipRule, OutsideRule, SoftLabelRule


def ingest(
    corpus: Annotated[
        str, typer.Argument(help="A corpus, or manifest, webdataset, parquet, nemo, lhotse.")
    ],
    source: Annotated[str, typer.Argument(help="Its folder or file: a path or s3:// URI.")],
    destination: Annotated[str, typer.Argument(help="Where the shards go: a path or s3:// URI.")],
    label_set: Annotated[
        str | None,
        typer.Option(help="Name of a label set, or labels separated by commas."),
    ] = None,
    selection: Annotated[
        str | None, typer.Option(help="One of the corpus's usual selections.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="key=value of the corpus or reader; repeatable.")
    ] = None,
    soft_label_rule: Annotated[
        SoftLabelRule | None, typer.Option(help="How an annotator with several labels counts.")
    ] = None,
    outside: Annotated[
        OutsideRule | None,
        typer.Option(
            help="What becomes of votes outside the label set; in your own data of those only that "
            "option other_labels or --merge names: any other word makes its line a failure."
        ),
    ] = None,
    merge: Annotated[
        list[str] | None, typer.Option(help="word=label that it counts as; repeatable.")
    ] = None,
    clips: Annotated[ClipRule | None, typer.Option(help="Which clips stay.")] = None,
    audio: Annotated[
        str, typer.Option(help="flac: integer PCM becomes FLAC, losslessly; or original.")
    ] = "flac",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder or s3://bucket/prefix beside the source's own that its paths and links "
            "may lead to; repeatable."
        ),
    ] = None,
    max_clip_s: Annotated[
        float | None, typer.Option(help="Longest clip in seconds; default: 14400.")
    ] = None,
    max_clip_bytes: Annotated[
        int | None, typer.Option(help="Largest recording in bytes; default: 1000000000.")
    ] = None,
    rows_per_shard: Annotated[int, typer.Option(min=1, help="Most utterances in a shard.")] = 200,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Most tasks at a time; default: the CPUs.")
    ] = None,
    endpoint: Endpoint = None,
    source_endpoint: Annotated[
        str | None, typer.Option(help="S3 server of the source, where it is another.")
    ] = None,
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Turn a corpus, or your own data, into shards; the same command again continues.

    The exit code is 1 where nothing can be done with them: no utterance, or none with a label.
    """
    from raypipe.config import checked
    from raypipe.runtime.ingest.config import IngestConfig
    from raypipe.runtime.ingest.plan import prepare_ingest
    from raypipe.runtime.ingest.show import ingest_faults, show_ingest
    from raypipe.store.location import Location

    labels = label_set.split(",") if label_set and "," in label_set else label_set
    document: dict[str, object] = {
        "corpus": corpus,
        "source": source,
        "output": destination,
        "options": pairs(option, "--option"),
        "selection": selection,
        "label_set": labels,
        "votes": {
            "soft_label_rule": soft_label_rule,
            "outside": outside,
            "merge": pairs(merge, "--merge"),
            "clips": clips,
        },
        "limits": {
            name: value
            for name, value in [("max_duration_s", max_clip_s), ("max_bytes", max_clip_bytes)]
            if value is not None
        },
        "allow": allow or [],
        "audio": audio,
        "rows_per_shard": rows_per_shard,
        "workers": workers,
        "storage": {"endpoint": endpoint},
        "source_endpoint": source_endpoint,
    }
    prepared = prepare_ingest(checked(IngestConfig, document, "raypipe ingest"))

    from raypipe.runtime.ingest.job import carry_out_ingest  # loads Ray, which checks do without

    console = Console()
    index = carry_out_ingest(prepared, address=address, console=console)
    shards = Location.parse(destination, endpoint)
    show_ingest(index, shards, console)
    faults = ingest_faults(index, shards, prepared)
    for fault in faults:
        console.print(f"! {fault}", style="bold red", markup=False, soft_wrap=True)
    if faults:
        raise typer.Exit(1)
