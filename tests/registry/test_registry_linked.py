"""A registry's file with two names, as after `cp -al`: it is for looking by both, until one of them is gone."""

import os
import sqlite3
import subprocess
from contextlib import closing

import pytest

from penstock.errors import RegistryError
from penstock.registry import Registry, schema
from penstock.registry.group_commit import WouldBlock


@pytest.fixture
def original(path, kit):
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
        yield registry


@pytest.fixture
def copy(original, tmp_path):
    """The path of the registry in a copy of its folder by hard links."""
    place = tmp_path / "copy"
    subprocess.run(["cp", "-al", original._database.path.parent, place], check=True)
    return place / "registry.db"


def refuse(registry, change):
    with pytest.raises(RegistryError, match="`cp -a`") as refused:
        change(registry)
    assert refused.value.code == "registry_linked"
    assert "\n" not in str(refused.value)


def test_neither_name_takes_a_decision_and_both_can_be_read(original, copy, kit):
    with Registry.open(copy) as other:
        for registry in (original, other):
            refuse(registry, lambda one: kit.publish(one, "b", endpoint="digits"))
            refuse(registry, lambda one: one.check_writable())
            with registry.group_commit() as group, group.joined(), pytest.raises(WouldBlock):
                kit.publish(registry, "b", endpoint="digits")
            assert registry.endpoints.get("digits").name == "digits"
            assert registry.check().ok
    copy.unlink()
    assert kit.publish(original, "b", endpoint="digits").created
    assert original.check().ok


def test_an_older_one_is_not_migrated(original, path, tmp_path):
    original.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.latest() - 1}")
    os.link(path, tmp_path / "copy.db")
    with pytest.raises(RegistryError) as refused:
        Registry.open(path)
    assert refused.value.code == "registry_linked"


def test_names_of_killed_makers_and_restorers_do_not_count(original, path, kit):
    os.link(path, path.with_name(".registry.db.0123456789ab.new"))
    os.link(path, path.with_name("registry.db.replaced-20260101T000000Z"))
    kit.publish(original, "b", endpoint="digits")
    os.link(path, path.with_name("registry.bak"))
    refuse(original, lambda one: kit.publish(one, "c", endpoint="digits"))


def test_a_backup_restored_in_a_copy_is_a_file_of_its_own(original, copy, kit, tmp_path):
    with Registry.open(copy) as other:
        other.backup(tmp_path / "backup.db")
    original.close()
    Registry.restore(copy, tmp_path / "backup.db")
    with Registry.open(copy) as other:
        kit.publish(other, "b", endpoint="digits")
    with Registry.open(original._database.path) as registry:
        assert len(registry.pipelines.list().items) == 1
