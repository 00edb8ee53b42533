"""The program in a warehouse: senses, decides what happened, records it and tells headquarters. Read `pipeline` first."""
