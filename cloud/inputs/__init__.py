"""What people and files tell headquarters: master data, plans, orders; checked here, stored all or none."""
