"""Lets twistd find the network's server: `twistd -n trus --config FILE`."""

from twisted.application.service import ServiceMaker

trus = ServiceMaker("trus", "trus.tap", "The server of a meal-payment network: gateway, backend, or both.", "trus")
