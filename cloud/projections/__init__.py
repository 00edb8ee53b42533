"""What headquarters derives from records: stock, units, progress, daily demand, counts. READ FIRST: project.py."""
