"""What an operator can rely on, proven on real parts."""

from hypothesis import settings

# A machine that is busy with other tests is no failure of an example.
settings.register_profile("trus", deadline=None, print_blob=True)
settings.load_profile("trus")
