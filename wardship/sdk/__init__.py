"""What a plugin author imports: the connector interface, HTTP, paging, the registry, the test kit."""
