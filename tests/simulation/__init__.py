"""A simulator for the rules: real leaders and followers, virtual network, clock and disks.

``python -m tests.simulation`` runs random schedules of faults; the tests here run some of them, and
the named ones.
"""
