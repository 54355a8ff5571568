"""The command line ``kvstore``."""
