"""The study of the write quorum: load, check of the copies, plot and report."""
