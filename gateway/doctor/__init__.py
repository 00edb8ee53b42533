"""What `evercount-gateway doctor` looks at: the machine, the folder, the devices, headquarters; each with what to do."""
