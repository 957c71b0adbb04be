"""Classifier: batches faces, asks the model, calibrates; never sees a whole image."""
