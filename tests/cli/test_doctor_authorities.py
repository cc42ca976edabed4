"""`trus doctor` about the off-line root and the authority that issues below it."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.cli.test_doctor import Deployed
from trus.cli.doctor_authorities import check_authorities
from trus.cli.findings import State
from trus.clock import SystemClock
from trus.settings.loading import load


class AuthorityTests(Deployed):
    """A fresh deployment, and what becomes of it."""

    def found(self, now: datetime | None = None) -> list[tuple[str, str, str]]:
        """Return subject, state and text of every finding."""
        backend = load(self.file).backend
        assert backend is not None
        return [tuple(each) for each in check_authorities(backend, now or SystemClock().now())]  # type: ignore[misc]

    def texts(self, state: State, now: datetime | None = None) -> str:
        """Return the findings of one state, a line each."""
        return "\n".join(f"{subject}: {text}" for subject, found, text in self.found(now) if found == state)

    def test_a_root_token_on_the_machine(self) -> None:
        """As long as the root's token is on the machine there is a warning, with its parts a stronger one."""
        folder = self.folder / "root-token"
        self.assertIn(f"on this machine in {folder}, with both parts of its PIN", self.texts(State.WARNING))
        (folder / "part-2").unlink()
        self.assertNotIn("both parts", self.texts(State.WARNING))
        folder.rename(self.folder.with_name("away"))
        self.assertEqual(self.texts(State.WARNING), "")
        self.assertIn("individual root: its token is not on this machine", self.texts(State.OK))
        self.assertIn("issuing authority: its certificate is good for", self.texts(State.OK))

    def test_the_next_issuing_authority_in_time(self) -> None:
        """When the issuing authority ends before what it issues would, the next ceremony is due."""
        later = SystemClock().now() + timedelta(days=4 * 365)
        self.assertIn("hold the ceremony of the next one", self.texts(State.WARNING, later))
        self.assertIn("its certificate ended", self.texts(State.WRONG, later + timedelta(days=3 * 365)))

    def test_the_roots_list(self) -> None:
        """A list that ends soon, has ended, is missing, or is somebody else's is told each in its own words."""
        now = SystemClock().now()
        self.assertIn("names 0 revoked issuing authorities and is good for", self.texts(State.OK))
        self.assertIn("issuing authorities and ends in", self.texts(State.WARNING, now + timedelta(days=300)))
        self.assertIn("issuing authorities and ended", self.texts(State.WRONG, now + timedelta(days=400)))
        path = self.folder / "pki" / "individual-root.crl"
        path.write_bytes((self.folder / "pki" / "channel.crl").read_bytes())
        self.assertIn("was not signed by the root", self.texts(State.WRONG))
        path.unlink()
        self.assertIn("there is no list", self.texts(State.WARNING))

    def test_files_that_cannot_be_read(self) -> None:
        """A root or an issuing authority that is no certificate is wrong, and hides nothing else."""
        (self.folder / "pki" / "individual-issuing.pem").write_text("nothing")
        self.assertIn("issuing authority: ", self.texts(State.WRONG))
        (self.folder / "pki" / "individual-ca.pem").write_text("nothing")
        self.assertIn("individual root: ", self.texts(State.WRONG))
        self.assertIn("on this machine", self.texts(State.WARNING))

    def test_a_deployment_whose_root_issues(self) -> None:
        """A deployment of an earlier version, whose root issues by itself, has nothing wrong."""
        (self.folder / "pki" / "individual-issuing.pem").unlink()
        self.assertEqual(self.texts(State.WRONG), "")
