"""``raypipe doctor``."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raypipe.cli.common import Address, Insecure, print_json
from raypipe.reporting.console import Console

if TYPE_CHECKING:
    from raypipe.engines.engine import Spending
    from raypipe.runtime.infer.doctor import Checkup, CorpusFacts
    from raypipe.runtime.infer.model_checkup import ClipLimitFacts, MemoryFacts, ModelFacts
    from raypipe.runtime.infer.trial import Trial, TriedAnswer

_WIDTH = 80
_INDENT = (0, 0, 0, 2)
_GIB = 1 << 30
_BLANK = "\N{OPEN BOX}"


def doctor(
    config: Annotated[Path, typer.Argument(help="YAML file of the run.")],
    tried: Annotated[
        int | None, typer.Option("--try", min=1, help="Also answer so many utterances.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Tell what a run will do and why it would not begin; exit code 1 if it would not.

    Reads small files only, unless utterances are tried; writes nothing.
    """
    from raypipe.config import load_config
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.infer.doctor import checkup

    settings = load_config(config)
    ask = partial(devices, address)
    # Nothing but JSON on stdout.
    messages = Console(stderr=as_json)
    with messages.status("reading small files"):
        told = checkup(settings, ask)
    trial = None
    if not as_json:
        console = Console(width=min(_WIDTH, Console().width), highlight=False)
        _show_checkup(told, console)
    if tried is not None and not told.faults:
        from raypipe.runtime.infer.trial import try_some

        with messages.status(f"loading the model and answering {tried} utterances"):
            trial = try_some(settings, tried, ask)
        if not as_json:
            _show_trial(trial, console)
    if as_json:
        document = dataclasses.asdict(told)
        print_json(document | ({} if trial is None else {"tried": dataclasses.asdict(trial)}))
    if told.faults:
        raise typer.Exit(1)


def _show_checkup(told: Checkup, console: Console) -> None:
    facts = [("run", told.name), ("output", told.output)]
    if told.corpus is not None:
        facts += list(_corpus(told.corpus))
    gpus = told.devices
    if gpus is not None and gpus.gpus:
        facts.append(("GPUs", f"{gpus.gpus} x {gpus.name}, {_gib(gpus.memory or 0)}"))
    if told.chosen:
        chosen = ", ".join(f"{name} {value}" for name, value in told.chosen.items())
        facts.append(("chosen", chosen))
    _facts(console, facts)
    for model in told.models:
        _show_model(model, console)
    _title(console, "Strategies")
    table = Table("strategy", "reads", "needs of the engine", box=None, pad_edge=False)
    for strategy in told.strategies:
        table.add_row(strategy.name, ", ".join(strategy.asks), ", ".join(strategy.needs) or "-")
    console.print(Padding(table, _INDENT))
    if told.faults:
        console.print("\n[bold red]This run would not begin[/]")
        for fault in told.faults:
            console.print(Padding(Text(fault), _INDENT))
    else:
        console.print("\n[bold green]Nothing stands in its way.[/]")


def _corpus(corpus: CorpusFacts) -> Iterator[tuple[str, str]]:
    yield "shards", f"{corpus.shards} in {corpus.uri}"
    clips = f"{corpus.utterances} utterances"
    if corpus.longest_s is not None:
        clips += f", {_duration(corpus.seconds)} of audio, the longest {corpus.longest_s:.1f} s"
    yield "corpus", clips
    yield "labels", ", ".join(corpus.labels)


def _show_model(model: ModelFacts, console: Console) -> None:
    _title(console, f"Model {model.model}")
    facts = [("path", model.path), ("engine", model.engine)]
    facts += [(name, text) for name, text in model.facts.items()]
    if model.memory is not None:
        facts.append(("dtype", model.dtype))
        facts += list(_memory(model.memory))
    facts.append(("clips", _clips(model.clips)))
    facts += [("calls" if not number else "", call) for number, call in enumerate(_calls(model))]
    if model.spending is not None:
        facts += list(_spending(model.spending))
    _facts(console, facts)
    for turn in model.turns:
        about = f"{turn.utterance_id}, {turn.seconds:.1f} s"
        if turn.turn is None:
            console.print(Padding(Text(f"prompt {turn.prompt} ({about}): {turn.failure}"), _INDENT))
            continue
        tokens = "the endpoint counts its tokens"
        if turn.turn.tokens is not None:
            tokens = f"{turn.turn.tokens} tokens, {turn.turn.audio_tokens} of them audio"
        console.print(Padding(Text(f"prompt {turn.prompt} ({about}): {tokens}"), _INDENT))
        console.print(Padding(Text(turn.turn.text, style="dim"), (0, 0, 0, 4)))
    _show_words(model, console)


def _show_words(model: ModelFacts, console: Console) -> None:
    if not model.words:
        return
    table = Table(
        "label", f"its words and their token ids ({_BLANK}: a blank)", box=None, pad_edge=False
    )
    by_label: dict[str, list[str]] = defaultdict(list)
    for word in model.words:
        ids = "+".join(str(token) for token in word.token_ids)
        # Without blanks, so that no line ends between a word and its ids.
        by_label[word.label].append(f"{word.form}={ids}".replace(" ", _BLANK))
    for label, words in by_label.items():
        table.add_row(escape(label), escape(", ".join(words)))
    console.print(Padding(table, _INDENT))


def _memory(memory: MemoryFacts) -> Iterator[tuple[str, str]]:
    need = memory.need
    counted = ", counted on its config: there are no weight files" if memory.counted else ""
    yield "weights", _gib(need.weights) + counted
    if need.row:
        yield "row", f"{_gib(need.row)} for an utterance with the longest prompt"
        yield "work", f"{_gib(need.work)} while prompts are read"
    yield "rows", "unknown" if memory.rows is None else f"{memory.rows} utterances at once"


def _clips(clips: ClipLimitFacts) -> str:
    text = f"up to {_duration(clips.limit_s)}: {clips.too_long} are too long"
    if clips.window_s < clips.limit_s:
        fate = "heard in part" if clips.fate == "first_window" else "cut into windows"
        text += f"; {clips.cut} are longer than {_duration(clips.window_s)}, {fate}"
    if clips.unknown:
        text += f"; of {clips.unknown} the shards do not tell the duration"
    return text


def _calls(model: ModelFacts) -> Iterator[str]:
    for call in model.calls:
        rare = " (ambiguous utterances only)" if call.only_ambiguous else ""
        yield f"{call.name}: {call.asked}{rare}"


def _spending(spending: Spending) -> Iterator[tuple[str, str]]:
    yield "requests", f"at most {spending.requests} for every utterance, repetitions aside"
    thousand = 1000 / max(1, spending.requests)
    yield (
        "estimate",
        f"per 1,000 requests about {spending.text_tokens * thousand:,.0f} tokens of text and at "
        f"most {spending.output_tokens * thousand:,.0f} of answers; audio comes on top",
    )
    if spending.cost is None:
        yield "cost", "unknown without model.api.prices"
    else:
        yield (
            "cost",
            f"at most {spending.cost * thousand:.4g} per 1,000 requests and "
            f"{spending.cost * 1000:.4g} per 1,000 utterances, without the audio (an estimate)",
        )


def _show_trial(trial: Trial, console: Console) -> None:
    _title(console, f"Tried on {trial.model}")
    for answer in trial.answers:
        about = "" if answer.duration_s is None else f", {answer.duration_s:.1f} s"
        tokens = "" if answer.prompt_tokens is None else f", {answer.prompt_tokens} prompt tokens"
        head = f"{answer.utterance_id} ({answer.prompt}{about}{tokens})"
        console.print(Padding(Text(head, style="bold"), _INDENT))
        if answer.failure is not None:
            console.print(Padding(Text(answer.failure, style="red"), (0, 0, 0, 4)))
            continue
        for kind, text in answer.texts:
            console.print(Padding(Text(f"{kind}: {text}", style="dim"), (0, 0, 0, 4)))
        console.print(Padding(_distributions(answer, trial.labels), (0, 0, 0, 4)))
    together = f"{trial.rows} at a time" if trial.rows > 1 else "one at a time"
    if trial.rows < trial.rows_of_run:
        together += f"; the run takes {trial.rows_of_run}, a larger --try is nearer to its speed"
    console.print(
        f"\nloaded in {trial.load_s:.1f} s; {trial.answer_s:.2f} s for each utterance, {together}"
    )
    machine = "1 replica" if trial.actors == 1 else f"{trial.actors} replicas"
    console.print(
        f"estimate for the whole corpus with {machine} of the model: {_duration(trial.corpus_s)}"
    )


def _distributions(answer: TriedAnswer, labels: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for label in labels:
        table.add_column(escape(label[:7]), justify="right")
    table.add_column("JS", justify="right")
    table.add_column("read by")
    if answer.truth is not None:
        table.add_row("annotators", *_shares(answer.truth), "", "")
    for each in answer.predictions:
        shares = [""] * len(labels) if each.probs is None else _shares(each.probs)
        js = "" if each.js is None else f"{each.js:.3f}"
        table.add_row(escape(each.strategy), *shares, js, escape(each.reading))
    return table


def _shares(probs: Sequence[float]) -> list[str]:
    return [f"{share:.2f}" for share in probs]


def _facts(console: Console, facts: Sequence[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in facts:
        table.add_row(name, Text(text))
    console.print(Padding(table, _INDENT))


def _title(console: Console, text: str) -> None:
    console.print(f"\n[bold]{escape(text)}[/bold]")


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB / 10 else f"{size / (1 << 20):.1f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
