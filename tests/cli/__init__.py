"""The command `array-losses`: its subcommands, and the command as a whole."""
