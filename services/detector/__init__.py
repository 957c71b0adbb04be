"""Detector: decodes a picture once, finds its faces, crops them; never asks for an emotion."""
