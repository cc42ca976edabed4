"""Looks at the individual authority for `trus doctor`: the off-line root, its list, the authority that issues.

Opens no token and changes nothing. That the root's token is still on the machine is worth a warning,
every time: whoever takes the machine would take the network's trust with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from trus.certificates.chains import load_anchors
from trus.cli.authorities import revoked_issuers, root_list_path
from trus.cli.findings import Finding, State
from trus.cli.policy import policy_of
from trus.cli.roottoken import RootToken
from trus.errors import TrusError
from trus.pki.policy import Policy
from trus.pki.profiles import INDIVIDUAL_ISSUING, INDIVIDUAL_ROOT
from trus.settings.channels import read_file
from trus.settings.model import BackendSettings

_ROOT = "individual root"
_ISSUING = "issuing authority"


def check_authorities(backend: BackendSettings, now: datetime) -> Iterator[Finding]:
    """Look at root, root list and issuing authority, each for itself."""
    anchor = backend.identity.anchor
    yield from _token(anchor.parent.parent / "root-token")
    try:
        policy = policy_of(backend)
        roots = load_anchors(read_file(anchor, "the individual root's certificate"))
    except TrusError as problem:
        yield Finding(_ROOT, State.WRONG, str(problem))
        return
    for root in roots:
        yield _left(_ROOT, "its certificate", root.not_valid_after_utc, policy.of(INDIVIDUAL_ROOT).renewal, now)
    yield from _list(backend, roots, policy, now)
    yield from _issuing(anchor.with_name("individual-issuing.pem"), policy, now)


def _token(folder: Path) -> Iterator[Finding]:
    token = RootToken(folder, "")
    if not token.is_here:
        yield Finding(_ROOT, State.OK, "its token is not on this machine")
        return
    parts = ", with both parts of its PIN beside it" if all(path.exists() for path in token.parts) else ""
    yield Finding(_ROOT, State.WARNING, f"its token is on this machine in {folder}{parts}: take it away")


def _list(
    backend: BackendSettings, roots: tuple[x509.Certificate, ...], policy: Policy, now: datetime
) -> Iterator[Finding]:
    path = root_list_path(backend)
    if not path.exists():
        yield Finding(_ROOT, State.WARNING, f"there is no list of revoked issuing authorities in {path}")
        return
    try:
        revoked = revoked_issuers(backend, roots)
    except TrusError as problem:
        yield Finding(_ROOT, State.WRONG, str(problem))
        return
    end = x509.load_pem_x509_crl(path.read_bytes()).next_update_utc
    count = f"its list names {len(revoked)} revoked issuing authorities and"
    yield _left(_ROOT, count, end or now, policy.root_crl_validity / 4, now)


def _issuing(path: Path, policy: Policy, now: datetime) -> Iterator[Finding]:
    if not path.exists():
        return  # a deployment of an earlier version: its root issues by itself
    try:
        newest = load_anchors(path.read_bytes(), str(path))[-1]
    except TrusError as problem:
        yield Finding(_ISSUING, State.WRONG, str(problem))
        return
    ahead = policy.of(INDIVIDUAL_ISSUING).renewal
    found = _left(_ISSUING, "its certificate", newest.not_valid_after_utc, ahead, now)
    if found.state is State.WARNING:
        yield found._replace(text=f"{found.text}, so that what it issues ends early: hold the ceremony of the next one")
    else:
        yield found


def _left(subject: str, what: str, end: datetime, ahead: timedelta, now: datetime) -> Finding:
    days = abs((end - now).days)
    if now >= end:
        return Finding(subject, State.WRONG, f"{what} ended {days} days ago")
    if end - now < ahead:
        return Finding(subject, State.WARNING, f"{what} ends in {days} days")
    return Finding(subject, State.OK, f"{what} is good for {days} days")
