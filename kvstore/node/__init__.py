"""A node at work: greenlets, time and disk around the rules."""
