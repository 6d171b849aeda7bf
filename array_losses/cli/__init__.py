"""The command `array-losses`; nothing is imported before a subcommand is chosen."""
