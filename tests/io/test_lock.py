import threading

import filelock
import pytest

from geoalps.errors import ProductError
from geoalps.io.lock import LOCK, alone_in


def test_a_stage_within_a_stage_comes_in_and_another_thread_does_not(tmp_path):
    refused = []

    def other():
        try:
            with alone_in(tmp_path):
                pass
        except ProductError as error:
            refused.append(str(error))

    with alone_in(tmp_path), alone_in(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert "another run is writing" in refused[0]
    assert not (tmp_path / LOCK).exists()
    other()
    assert len(refused) == 1


def test_a_file_system_without_locks_is_one_clear_line(tmp_path, monkeypatch):
    def acquire(_):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(ProductError, match=r"knows no locks.*use -o for another one"), alone_in(tmp_path):
        pass
