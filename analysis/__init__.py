"""The study of the write quorum: load, check of the copies, plot and report.

Three rooms, from below: ``nodes`` (local clusters), ``study`` (measurement), ``report``.
"""
