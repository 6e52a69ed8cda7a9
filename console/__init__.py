"""The analysts' HTTP API and page: not there yet."""
