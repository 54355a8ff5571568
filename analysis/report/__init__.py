"""What people see of the results: plot, tables and text."""
