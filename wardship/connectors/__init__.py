"""One module a system. A connector reports and acts; it never judges."""
