"""Tests of the simulation: that a seed replays, that the seeds hold, and that planted bugs are found."""
