"""The written form of an evaluation: JSON, figures and one self-contained HTML page.

Knows no model, no data set and no service: it is handed what was measured.
"""
