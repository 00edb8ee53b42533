"""Tables that users bring: rows of a CSV, XLSX or Parquet file as typed values, with the lines they stand on.

tables.py  a file's cells, row by row, whatever its form
rows.py    cells as structs; each row that is wrong is named
fields.py  what the fields of a struct may hold
"""

from cloud.files.fields import Field, fields_of
from cloud.files.rows import Rows, read_structs
from cloud.files.tables import Progress, Source

__all__ = ["Field", "Progress", "Rows", "Source", "fields_of", "read_structs"]
