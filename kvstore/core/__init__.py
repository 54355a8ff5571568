"""The rules of replication and the values they are about; see README.md beside this file."""
