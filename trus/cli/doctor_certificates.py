"""Looks at individual and admins' certificates for `trus doctor`: which end soon, and whether the lists hold.

Changes nothing: reads the register under the token's key, while a backend may be running.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from trus.admin.commands_certificates import EXPIRING_DAYS
from trus.cli.compose import database_path
from trus.cli.database_keys import file_key
from trus.cli.directory import LIVE, ending, say_ending
from trus.cli.findings import Finding, State
from trus.cli.policy import policy_of
from trus.errors import TrusError
from trus.hsm.ports import KeyStore
from trus.issuing.admins import AdminEnd, ends_of_admins
from trus.issuing.identities import microseconds, moment
from trus.ledger.compose import open_for_reading
from trus.ledger.registry_directory import DirectoryRegistry, Wanted
from trus.ledger.registry_identities import IdentityRegistry
from trus.pki.profiles import ADMIN_CLIENT
from trus.settings.model import BackendSettings

_CERTIFICATES: Final = "devices' certificates"
_ADMINS: Final = "admins' certificates"
_LISTS: Final = "revocation lists"


def check_certificates(backend: BackendSettings, keys: KeyStore, now: datetime) -> Iterator[Finding]:
    """Count what ends soon, and look how long the lists hold."""
    path = database_path(backend)
    try:
        engine = open_for_reading(path, db_key=file_key(path, keys))
    except TrusError:
        return  # the database's own check has said why
    try:
        with engine.connect() as connection:
            directory = DirectoryRegistry(connection)
            count = directory.count(ending(now))
            good = directory.count(Wanted(states=LIVE, ends_after=microseconds(now)))
            lists = directory.lists()
            admins = list(ends_of_admins(IdentityRegistry(connection).admins()))
    finally:
        engine.dispose()
    told = say_ending(count)
    if count:
        yield Finding(_CERTIFICATES, State.WARNING, told)
    else:
        yield Finding(_CERTIFICATES, State.OK, f"{good} are good, none ends within {EXPIRING_DAYS} days")
    for each in lists:
        until = moment(each.next_update)
        what = f"the {each.kind} list of {each.authority}"
        if until <= now:
            yield Finding(_LISTS, State.WRONG, f"{what} ended {until:%Y-%m-%d %H:%M}: is the backend running?")
        else:
            yield Finding(_LISTS, State.OK, f"{what} holds until {until:%Y-%m-%d %H:%M}")
    yield from check_admins(admins, now, policy_of(backend).of(ADMIN_CLIENT).renewal)


def check_admins(ends: Sequence[AdminEnd], now: datetime, ahead: timedelta) -> Iterator[Finding]:
    """Look at when the certificates of admins end; those of whom nobody knows yet are named."""
    for each in ends:
        whose = f"the certificate of {each.name}"
        if each.until is None:
            yield Finding(_ADMINS, State.OK, f"{whose} has an end that is known from its first order on")
        elif each.until <= now:
            told = f"{whose} ended {each.until:%Y-%m-%d}: trus certificates renew-admin {each.name}"
            yield Finding(_ADMINS, State.WRONG, told)
        elif each.until - ahead <= now:
            yield Finding(_ADMINS, State.WARNING, f"{whose} ends {each.until:%Y-%m-%d}: ADMIN-RENEW at the console")
        else:
            yield Finding(_ADMINS, State.OK, f"{whose} is good until {each.until:%Y-%m-%d}")
