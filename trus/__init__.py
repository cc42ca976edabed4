"""trus: the server of a closed-loop meal-payment network.

The house, room by room, is drawn in docs/architecture.md. Composition happens in trus.tap
and trus.cli alone; every other package gets its collaborators through constructors.
"""
