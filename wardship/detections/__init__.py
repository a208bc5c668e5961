"""Detections: one YAML file each, with the events that raise it and those that must not."""
