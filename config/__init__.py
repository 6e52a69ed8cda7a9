"""Every default as data, and the typed settings that read it."""
