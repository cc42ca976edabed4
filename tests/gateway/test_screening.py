"""Decisions at the door: by source list, number and rate, in bounded memory (TR-12)."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from trus.gateway.screening import Refusal, Screen, ScreenRules
from trus.settings import AdminPortSettings, ScreeningSettings


def rules(**changes: object) -> ScreenRules:
    values: dict[str, object] = {
        "allow": (ip_network("0.0.0.0/0"), ip_network("::/0")),
        "deny": (),
        "max_connections": 100,
        "max_per_source": 10,
        "rate": 1.0,
        "burst": 5.0,
        "max_sources": 50,
    }
    return ScreenRules(**(values | changes))  # type: ignore[arg-type]


class SourceListTests(SynchronousTestCase):
    """Who may connect at all."""

    def test_deny_wins(self) -> None:
        """TR-12: a denied source is refused even when it is allowed too."""
        screen = Screen(rules(allow=(ip_network("192.0.2.0/24"),), deny=(ip_network("192.0.2.128/25"),)))
        self.assertIsNone(screen.admit("192.0.2.1", 0.0))
        self.assertEqual(screen.admit("192.0.2.200", 0.0), Refusal.DENIED_SOURCE)
        self.assertEqual(screen.admit("198.51.100.1", 0.0), Refusal.DENIED_SOURCE)
        self.assertEqual(screen.admit("2001:db8::1", 0.0), Refusal.DENIED_SOURCE)

    def test_ipv4_inside_ipv6(self) -> None:
        """An IPv4 source that arrives on an IPv6 socket is judged as IPv4."""
        screen = Screen(rules(deny=(ip_network("192.0.2.0/24"),)))
        self.assertEqual(screen.admit("::ffff:192.0.2.7", 0.0), Refusal.DENIED_SOURCE)
        self.assertIsNone(screen.admit("fe80::1%eth0", 0.0))


class LimitTests(SynchronousTestCase):
    """How much one source, and all together, may take."""

    def test_rate(self) -> None:
        """TR-12: after its burst a source gets one new connection a second, and no other source suffers."""
        screen = Screen(rules())
        for _ in range(5):
            self.assertIsNone(screen.admit("192.0.2.1", 0.0))
        self.assertEqual(screen.admit("192.0.2.1", 0.0), Refusal.TOO_FAST)
        self.assertIsNone(screen.admit("192.0.2.2", 0.0))
        self.assertEqual(screen.admit("192.0.2.1", 0.9), Refusal.TOO_FAST)
        self.assertIsNone(screen.admit("192.0.2.1", 1.0))
        self.assertEqual(screen.admit("192.0.2.1", 1.0), Refusal.TOO_FAST)

    def test_hanging_up_restores_nothing(self) -> None:
        """Connections that come and go at once still use up the allowance."""
        screen = Screen(rules())
        for _ in range(5):
            screen.admit("192.0.2.1", 0.0)
            screen.leave("192.0.2.1", 0.0)
        self.assertEqual(screen.admit("192.0.2.1", 0.0), Refusal.TOO_FAST)

    def test_connections_of_one_source(self) -> None:
        """A source holds its share of connections, and may open another when one has ended."""
        screen = Screen(rules(burst=100.0))
        for _ in range(10):
            self.assertIsNone(screen.admit("192.0.2.1", 0.0))
        self.assertEqual(screen.admit("192.0.2.1", 0.0), Refusal.TOO_MANY_FROM_SOURCE)
        screen.leave("192.0.2.1", 0.0)
        self.assertIsNone(screen.admit("192.0.2.1", 0.0))

    def test_ipv6_network_is_one_source(self) -> None:
        """All addresses of one IPv6 /64 share one allowance."""
        screen = Screen(rules())
        for host in range(5):
            self.assertIsNone(screen.admit(f"2001:db8::{host + 1:x}", 0.0))
        self.assertEqual(screen.admit("2001:db8::ffff", 0.0), Refusal.TOO_FAST)
        self.assertIsNone(screen.admit("2001:db8:0:1::1", 0.0))

    def test_connections_of_all(self) -> None:
        """No more than the stated number of connections exist at once."""
        screen = Screen(rules(max_connections=3))
        for host in range(3):
            self.assertIsNone(screen.admit(f"192.0.2.{host}", 0.0))
        self.assertEqual(screen.admit("192.0.2.99", 0.0), Refusal.TOO_MANY)
        screen.leave("192.0.2.1", 0.0)
        self.assertIsNone(screen.admit("192.0.2.99", 0.0))
        self.assertEqual(screen.connections, 3)
        self.assertEqual(screen.refusals[Refusal.TOO_MANY], 1)


class MemoryTests(SynchronousTestCase):
    """A flood from many addresses fills no memory."""

    def test_forgets_silent_sources_first(self) -> None:
        """When the table is full, the source that has been silent longest is forgotten."""
        screen = Screen(rules(max_sources=3, burst=1.0))
        for host in (1, 2, 3):
            screen.admit(f"192.0.2.{host}", float(host))
            screen.leave(f"192.0.2.{host}", float(host))
        screen.admit("192.0.2.4", 3.0)
        self.assertEqual(screen.sources, 3)
        self.assertEqual(screen.admit("192.0.2.3", 3.0), Refusal.TOO_FAST)
        self.assertIsNone(screen.admit("192.0.2.1", 3.0))

    def test_never_forgets_a_source_with_connections(self) -> None:
        """A source with open connections stays counted; when all have some, newcomers are refused."""
        screen = Screen(rules(max_sources=2))
        screen.admit("192.0.2.1", 0.0)
        screen.admit("192.0.2.2", 0.0)
        self.assertEqual(screen.admit("192.0.2.3", 0.0), Refusal.TOO_MANY_SOURCES)
        screen.leave("192.0.2.1", 0.0)
        self.assertIsNone(screen.admit("192.0.2.3", 0.0))
        screen.leave("192.0.2.2", 0.0)
        screen.leave("192.0.2.3", 0.0)
        self.assertEqual(screen.connections, 0)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 30), st.booleans(), st.floats(0, 5, allow_nan=False)), min_size=1, max_size=200
        )
    )
    def test_any_sequence(self, steps: list[tuple[int, bool, float]]) -> None:
        """Whatever comes and goes, counts stay right and within the limits."""
        screen = Screen(rules(max_connections=12, max_per_source=4, max_sources=8))
        now, present = 0.0, dict[str, int]()
        for host, comes, pause in steps:
            now += pause
            address = f"192.0.2.{host}"
            if comes:
                if screen.admit(address, now) is None:
                    present[address] = present.get(address, 0) + 1
            elif present.get(address):
                screen.leave(address, now)
                present[address] -= 1
            self.assertEqual(screen.connections, sum(present.values()))
            self.assertLessEqual(screen.connections, 12)
            self.assertLessEqual(max(present.values(), default=0), 4)
            self.assertLessEqual(screen.sources, 8)


class SettingsTests(SynchronousTestCase):
    """The rules come from the settings of their port."""

    def test_admins_from_this_machine_alone(self) -> None:
        """Unless told otherwise, the admin port lets in this machine alone."""
        screen = Screen(ScreenRules.of_admins(AdminPortSettings()))
        self.assertIsNone(screen.admit("127.0.0.1", 0.0))
        self.assertIsNone(screen.admit("::1", 0.0))
        self.assertEqual(screen.admit("192.0.2.1", 0.0), Refusal.DENIED_SOURCE)

    def test_devices_from_everywhere(self) -> None:
        """Unless told otherwise, devices may come from anywhere, within the limits."""
        screen = Screen(ScreenRules.of_devices(ScreeningSettings(handshake_burst=2, handshakes_per_second=1)))
        self.assertIsNone(screen.admit("192.0.2.1", 0.0))
        self.assertIsNone(screen.admit("192.0.2.1", 0.0))
        self.assertEqual(screen.admit("192.0.2.1", 0.0), Refusal.TOO_FAST)
