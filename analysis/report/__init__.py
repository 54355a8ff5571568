"""The results for people: plot, tables and text."""
