import pytest

from mmroute.errors import InputError
from mmroute.job import job


def test_bad_input_ends_with_one_line_and_no_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught, job(str(tmp_path / "logs/job.log")):
        raise InputError("my.csv: column cost:\n is -1")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: my.csv: column cost: is -1\n"
    assert (tmp_path / "logs/job.log").read_text() == "error: my.csv: column cost: is -1\n"


def test_a_file_that_the_system_refuses_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit), job(str(tmp_path / "job.log")):
        (tmp_path / "gone.csv").read_text()
    error = capsys.readouterr().err
    assert "gone.csv: No such file or directory" in error
    assert error.count("\n") == 1


def test_a_defect_keeps_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError), job(str(tmp_path / "job.log")):
        raise ZeroDivisionError


def test_text_from_data_cannot_steer_the_terminal(tmp_path, capsys):
    with pytest.raises(SystemExit), job(str(tmp_path / "job.log")):
        raise InputError("model '\x1b[2Jgpt\u202e' has no price")
    assert capsys.readouterr().err == "error: model '\\x1b[2Jgpt\\u202e' has no price\n"
