"""A seal answers for what page checksums do not cover, and no reader minds it."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.errors import ShardError
from raypipe.store.parquet import from_parquet_bytes, parquet_file, to_parquet_bytes
from raypipe.store.seal import check_footer, check_whole, is_sealed, sealed

TABLE = pa.table({"utterance_id": [f"u{n}" for n in range(30)], "js": [n / 30 for n in range(30)]})
WHOLE = to_parquet_bytes(TABLE, {"kept": "1"})
FOOTER = int.from_bytes(WHOLE[-8:-4], "little") + 8


def unsealed() -> bytes:
    sink = io.BytesIO()
    pq.write_table(TABLE, sink, write_page_checksum=True)
    return sink.getvalue()


def flipped(bit: int) -> bytes:
    damaged = bytearray(WHOLE)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def test_a_sealed_file_is_read_by_any_reader() -> None:
    plain = unsealed()
    file = sealed(plain)
    assert len(file) == len(plain) + 44
    assert is_sealed(file)
    assert not is_sealed(plain)
    assert pq.read_table(io.BytesIO(file)).equals(TABLE)
    check_whole(file)
    check_footer(io.BytesIO(file))


def test_a_file_without_a_seal_passes() -> None:
    check_whole(unsealed())
    check_footer(io.BytesIO(unsealed()))
    assert from_parquet_bytes(unsealed()).equals(TABLE)


def test_every_flipped_bit_of_a_footer_is_noticed() -> None:
    """A length that leads elsewhere finds no seal there, and no footer."""
    for bit in range((len(WHOLE) - FOOTER) * 8, len(WHOLE) * 8):
        with pytest.raises((pa.ArrowException, OSError)):
            parquet_file(io.BytesIO(flipped(bit)))
        with pytest.raises(ShardError, match="not a whole Parquet file"):
            from_parquet_bytes(flipped(bit))


def test_every_flipped_bit_of_the_rest_is_noticed_by_what_reads_it_whole() -> None:
    start = len(WHOLE) - FOOTER - 44
    for bit in range(start * 8):
        with pytest.raises(pa.ArrowInvalid, match="pages have changed"):
            check_whole(flipped(bit))
        with pytest.raises(ShardError, match="not a whole Parquet file"):
            from_parquet_bytes(flipped(bit))


def test_a_broken_seal_hides_no_data() -> None:
    """A mark that is gone leaves a file without a seal, whose rows are still right."""
    start = len(WHOLE) - FOOTER - 44
    for bit in range(start * 8, (start + 44) * 8):
        try:
            assert from_parquet_bytes(flipped(bit)).equals(TABLE)
        except ShardError:
            assert bit >= (start + 8) * 8


@pytest.mark.parametrize("cut", [0, 3, 7, 8, 20, len(WHOLE) // 2, -1, -4, -9])
def test_a_cut_file_is_no_parquet_file(cut: int) -> None:
    for check in (check_whole, lambda file: check_footer(io.BytesIO(file))):
        with pytest.raises(pa.ArrowInvalid):
            check(WHOLE[:cut])


def test_only_the_end_of_a_long_file_is_read() -> None:
    class Counted(io.BytesIO):
        bytes_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            self.bytes_read += len(found)
            return found

    stream = Counted(to_parquet_bytes(pa.table({"audio": [bytes(1 << 22)]}), {}))
    check_footer(stream)
    assert stream.bytes_read <= 1 << 16


def test_a_long_footer_is_read_whole() -> None:
    wide = pa.table({f"column {number:050}": [number] for number in range(1000)})
    file = to_parquet_bytes(wide, {})
    footer = int.from_bytes(file[-8:-4], "little") + 8
    assert footer > 1 << 16
    check_footer(io.BytesIO(file))
    damaged = bytearray(file)
    damaged[len(file) - footer + 3] ^= 1
    with pytest.raises(pa.ArrowInvalid, match="footer has changed"):
        check_footer(io.BytesIO(bytes(damaged)))
