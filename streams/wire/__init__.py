"""What travels on the topics: typed records and their JSON, one module a contract."""
