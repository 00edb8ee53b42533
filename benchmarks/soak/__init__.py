"""The fault campaigns: real programs and disks broken on purpose, again and again, and the page that shows what came of it."""
