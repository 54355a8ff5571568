"""The measurement: loads, what they gave, and whether the copies are equal."""
