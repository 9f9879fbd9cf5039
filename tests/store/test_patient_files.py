"""Arrow's readers over files that fail for a while."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSelector, FileSystem, LocalFileSystem, PyFileSystem

from raypipe.store.patient_files import PatientFiles

ROWS = pa.table({"a": list(range(1000)), "b": [f"text {at}" for at in range(1000)]})


class Failing(LocalFileSystem):
    """Files that cannot be opened or looked at the first few times."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("no answer")

    def open_input_file(self, path: str) -> pa.NativeFile:
        self._fail()
        return super().open_input_file(path)

    def get_file_info(self, asked: object) -> object:
        self._fail()
        return super().get_file_info(asked)


@pytest.fixture
def table(tmp_path: Path) -> str:
    pq.write_table(ROWS, tmp_path / "part.parquet", row_group_size=100)
    return str(tmp_path / "part.parquet")


def patient(below: FileSystem) -> tuple[PyFileSystem, list[str]]:
    waits: list[str] = []
    return PyFileSystem(PatientFiles(below, lambda: waits.append("waited"))), waits


def test_they_read_what_is_there(table: str) -> None:
    files, waits = patient(LocalFileSystem())
    assert pq.read_table(table, filesystem=files).equals(ROWS)
    folder = str(Path(table).parent)
    found = files.get_file_info(FileSelector(folder, recursive=True))
    assert [info.path for info in found] == [table]
    scanned = pyarrow.dataset.dataset(folder, filesystem=files, format="parquet").to_table()
    assert scanned.sort_by("a").equals(ROWS)
    with files.open_input_stream(table) as stream:
        assert stream.read() == Path(table).read_bytes()
    assert waits == []


def test_a_failure_is_waited_out(table: str) -> None:
    below = Failing()
    files, waits = patient(below)
    for failures in (1, 2):
        below.failures = failures
        assert pq.read_table(table, filesystem=files, columns=["b"]).equals(ROWS.select(["b"]))
    assert len(waits) == 3


def test_a_read_that_breaks_goes_on_where_it_was(table: str) -> None:
    class Breaking(LocalFileSystem):
        opened = 0

        def open_input_file(self, path: str) -> object:
            self.opened += 1
            file = super().open_input_file(path)
            return _BreaksOnce(file) if self.opened == 1 else file

    class _BreaksOnce:
        def __init__(self, file: pa.NativeFile) -> None:
            self._file = file

        def size(self) -> int:
            return self._file.size()

        def read_at(self, count: int, at: int) -> bytes:
            raise OSError("the connection broke")

    below = Breaking()
    files, waits = patient(below)
    with files.open_input_file(table) as stream:
        stream.seek(4)
        assert stream.read(100) == Path(table).read_bytes()[4:104]
        assert stream.tell() == 104
    assert (below.opened, len(waits)) == (2, 1)


def test_what_fails_while_the_storage_answers_is_an_error(table: str) -> None:
    below = Failing()
    files, waits = patient(below)
    below.failures = 99
    with pytest.raises(OSError, match="no answer"):
        files.open_input_file(table)
    assert len(waits) == 2


def test_a_missing_file_is_not_waited_for(tmp_path: Path) -> None:
    files, waits = patient(LocalFileSystem())
    with pytest.raises(FileNotFoundError):
        files.open_input_file(str(tmp_path / "none"))
    assert waits == []


def test_nothing_is_written_through_them(tmp_path: Path) -> None:
    files, _ = patient(LocalFileSystem())
    with pytest.raises(OSError, match="read only"):
        files.open_output_stream(str(tmp_path / "new"))
    with pytest.raises(OSError, match="read only"):
        files.delete_file(str(tmp_path / "new"))
