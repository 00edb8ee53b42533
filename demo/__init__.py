"""What `./run demo` starts: one headquarters, three warehouses with emulated readers, and their trading partners."""
