"""Suites: streams x strategies x seeds in one TOML file, run as processes of their own."""
