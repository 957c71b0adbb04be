"""Detector: decodes an image once, finds its faces, crops them; never asks for an emotion."""
