"""What root types does not lock the service's user out of its own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.__main__ import main

#: Stands for the service's user; no such user needs to exist.
SERVICE = 4_711


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_that_root_made_belong_to_the_folders_owner_in_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    (folder / "evidence").mkdir(parents=True)
    made, others = folder / "evidence" / "picture", folder / "others"
    made.touch()
    others.touch()
    os.chown(folder, SERVICE, SERVICE)
    os.chown(others, SERVICE + 1, SERVICE + 1)
    file = tmp_path / "gateway.toml"
    file.write_text('[ledger]\nfolder = "var"\n')
    assert CliRunner().invoke(main, ["status", "--config", str(file)]).exit_code == 2  # there is no ledger yet
    assert (made.stat().st_uid, made.stat().st_gid) == (SERVICE, SERVICE)
    assert made.parent.stat().st_uid == SERVICE
    assert others.stat().st_uid == SERVICE + 1, "only what root owned"
    os.chown(folder, 0, 0)
    made.write_text("again")
    os.chown(made, 0, 0)
    CliRunner().invoke(main, ["status", "--config", str(file)])
    assert made.stat().st_uid == 0, "a folder of root's own stays so"
