"""Detector plug-ins: one file each, found by its name (`FER_DETECTOR=<name>`)."""
