"""The fault campaign: real nodes, clients and a seeded schedule of faults; then the checks."""
