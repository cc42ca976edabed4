"""Tests of trus.net over real sockets of the loopback interface."""
