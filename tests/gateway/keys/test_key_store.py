"""Keys at rest: hashed, listed without secrets, revoked for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import InvalidKeyError, NotFoundError, StoreUnavailableError
from gateway.keys import key_ring
from gateway.keys.api_key import KeyScope, PresentedKey
from gateway.keys.key_ring import KeyRing
from gateway.keys.key_store import KeyStore


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore.in_folder(tmp_path / "data")


def test_the_secret_is_not_in_the_database(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = KeyStore.in_folder(folder)
    key, text = store.create("studio")
    store.close()
    presented = PresentedKey.parse(text)
    assert presented is not None
    kept = (folder / "keys.db").read_bytes()
    assert key.id.encode() in kept
    assert presented.secret.encode() not in kept


def test_a_key_opens_and_only_that_one(store: KeyStore) -> None:
    (first, text), (second, _) = store.create("a"), store.create("b")
    presented = PresentedKey.parse(text)
    assert presented is not None
    assert presented.opens(first)
    assert not presented.opens(second)


def test_keys_come_back_as_they_were_made(store: KeyStore) -> None:
    key, _ = store.create(
        "a", scope=KeyScope.ADMIN, requests_per_minute=5, megapixels_per_minute=1.5
    )
    assert store.all() == [key]
    assert store.get(key.id) == key
    assert store.get("0" * 12) is None


def test_revoking_is_for_good_and_once(store: KeyStore) -> None:
    key, _ = store.create("a")
    store.revoke(key.id)
    revoked = store.all()[0]
    assert revoked.is_revoked
    store.revoke(key.id)
    assert store.all()[0].revoked_at == revoked.revoked_at
    assert store.any()
    with pytest.raises(NotFoundError):
        store.revoke("no")


@pytest.mark.parametrize(
    "text", ["", "sk-1", "rt_1_2", "rt_" + "0" * 12 + "_" + "a" * 43, "\udcff"]
)
async def test_other_texts_open_nothing(store: KeyStore, text: str) -> None:
    store.create("a")
    with pytest.raises(InvalidKeyError):
        await KeyRing(store, always_required=False).check(text)


async def test_the_right_id_with_a_wrong_secret_opens_nothing(store: KeyStore) -> None:
    key, _ = store.create("a")
    with pytest.raises(InvalidKeyError):
        await KeyRing(store, always_required=False).check(f"rt_{key.id}_{'x' * 43}")


async def test_a_revoked_key_is_noticed_when_its_entry_is_stale(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, text = store.create("a")
    ring = KeyRing(store, always_required=False)
    assert (await ring.check(text)).id == key.id
    store.revoke(key.id)
    monkeypatch.setattr(key_ring, "FRESH_S", -1.0)
    with pytest.raises(InvalidKeyError, match="revoked"):
        await ring.check(text)


async def test_the_hash_is_computed_once(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = store.create("a")
    hashed, calls = PresentedKey.hashed, []
    monkeypatch.setattr(PresentedKey, "hashed", lambda *a: (calls.append(1), hashed(*a))[1])
    ring = KeyRing(store, always_required=False)
    monkeypatch.setattr(key_ring, "FRESH_S", -1.0)
    for _ in range(3):
        await ring.check(text)
    assert len(calls) == 1


async def test_keys_are_needed_once_there_is_one(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "FRESH_S", -1.0)
    ring = KeyRing(store, always_required=False)
    assert not await ring.required()
    store.revoke(store.create("a")[0].id)
    assert await ring.required()


def test_a_database_that_is_away_is_said_and_found_when_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "away"
    store = KeyStore(f"sqlite:///{folder / 'keys.db'}")
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        store.any()
    folder.mkdir()
    assert store.any() is False
    store.create("studio")
    assert store.any() is True
