"""`trus token`: seals the token's PIN to a card, checks and renews the store of wrapped objects.

Prints no PIN and takes none on the command line. Each command says what it did in a line or two.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from trus.cli.check_config import check
from trus.cli.keystore import objects_path, open_token
from trus.cli.pins import Ask, ask_on_terminal, card_settings
from trus.clock import Entropy, SystemEntropy
from trus.errors import ConfigurationError, KeyNotFound
from trus.hsm.objects import OBJECTS_LABEL, WRAP_LABEL, WrappedObjectStore
from trus.hsm.ports import KeyPurpose
from trus.hsm.sealing import SEAL_KEY_LABEL, SealingCard, is_sealed
from trus.hsm.session import parse_pin, read_pin_file
from trus.settings.model import BackendSettings

_CONFIG = click.option(
    "--config", "config", type=click.Path(path_type=Path), required=True, help="The configuration file."
)


def _backend(config: Path) -> BackendSettings:
    backend = check(config).backend
    if backend is None:
        raise ConfigurationError(f"{config} configures no backend, so no token")
    return backend


def seal_pin(backend: BackendSettings, key: str, *, make_key: bool, entropy: Entropy, ask: Ask) -> str:
    """Put the PIN in its file under the card's key of this label, and return what to tell the operator.

    Proves that the card opens the seal before the clear PIN is given up. Raises ConfigurationError,
    KeyStoreError.
    """
    token = backend.token
    card = token.pin_sealed_by
    if card is None:
        raise ConfigurationError("backend.token.pin_sealed_by: say which token shall seal the PIN")
    content = read_pin_file(token.pin_file)
    if is_sealed(content):
        raise ConfigurationError(f"{token.pin_file} is sealed already")
    pin = parse_pin(content, token.pin_file)
    with SealingCard(card_settings(card, ask)) as opened:
        key_id = opened.make_key(key) if make_key else opened.find_key(key)
        seal = opened.seal(key_id, token.label, pin, entropy)
        if opened.unseal(seal, token.label) != pin:
            raise ConfigurationError("the card did not open what was sealed to it: nothing was changed")
    _replace(token.pin_file, seal.encode())
    return (
        f"{token.pin_file} is sealed to the key {key} of the token {card.label}: the backend starts with it alone.\n"
        "What the file held before may still be on the disk and in backups: set a new PIN if others had them."
    )


def _replace(path: Path, content: bytes) -> None:
    """Put a private file into another one's place, and write over what that one held."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    before = os.open(path, os.O_WRONLY)
    try:
        beside.replace(path)
        os.pwrite(before, bytes(os.fstat(before).st_size), 0)
        os.fsync(before)
    finally:
        os.close(before)


@click.group("token", short_help="Seal the token's PIN; check and renew the key store.")
def token_group() -> None:
    """Seal the token's PIN to a card; check and renew the store of wrapped objects."""


@token_group.command("seal-pin", short_help="Seal the token's PIN to a key of a second token.")
@_CONFIG
@click.option("--key", default=SEAL_KEY_LABEL, show_default=True, help="Label of the second token's key.")
@click.option("--make-key", is_flag=True, help="Make that key on the second token first.")
def seal_pin_command(config: Path, key: str, make_key: bool) -> None:
    """Put the token's PIN under a key of the token that pin_sealed_by names, such as a smart card.

    From then on the backend starts only with that second token in its reader.
    """
    backend = _backend(config)
    click.echo(seal_pin(backend, key, make_key=make_key, entropy=SystemEntropy(), ask=ask_on_terminal))


@token_group.command("check", short_help="Open every wrapped object, and name those that were changed.")
@_CONFIG
def check_command(config: Path) -> int:
    """Open every record of the store of wrapped objects; the backend may be running meanwhile.

    Exits 1 when a record was changed.
    """
    backend = _backend(config)
    with open_token(backend) as keys:
        store = WrappedObjectStore(keys, objects_path(backend), SystemEntropy(), writable=False)
        try:
            faults = list(store.check())
            click.echo(f"{len(store)} names are known; {len(faults)} records were changed")
        finally:
            store.close()
    for fault in faults:
        click.echo(f"  {fault}")
    return 1 if faults else 0


@token_group.command("renew", short_help="Wrap the store's objects anew under new keys.")
@_CONFIG
@click.option("--keep-old-keys", is_flag=True, help="Leave the former versions of the keys in the token.")
def renew_command(config: Path, keep_old_keys: bool) -> None:
    """Make new versions of K_OBJECTS and K_WRAP and write the store anew under them; stop the backend first.

    The former versions are destroyed, so that older copies of the file can be opened no more, unless
    they are to be kept for backups.
    """
    backend = _backend(config)
    with open_token(backend) as keys:
        former = [each for each in keys.handles() if each.label in (OBJECTS_LABEL, WRAP_LABEL)]
        if not former:
            raise KeyNotFound(f"the token holds no key {OBJECTS_LABEL}: start the backend once to make it")
        store = WrappedObjectStore(keys, objects_path(backend), SystemEntropy())
        try:
            keys.generate(WRAP_LABEL, KeyPurpose.WRAP)
            keys.generate(OBJECTS_LABEL, KeyPurpose.DATA)
            store.renew()
        finally:
            store.close()
        if not keep_old_keys:
            for handle in former:
                keys.destroy(handle)
    fate = "kept" if keep_old_keys else "destroyed"
    click.echo(f"the store is wrapped under new keys; {len(former)} former ones were {fate}")
