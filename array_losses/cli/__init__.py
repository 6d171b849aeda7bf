"""The command `array-losses`. A subcommand's module is imported when it is chosen."""
