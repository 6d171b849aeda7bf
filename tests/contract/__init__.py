"""What every loss owes its users: inputs, results, errors, public names, documents."""
