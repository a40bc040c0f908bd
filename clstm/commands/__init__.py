"""The subcommands of the command line, a file each, and what they share: reading tables, dates, writing reports."""
