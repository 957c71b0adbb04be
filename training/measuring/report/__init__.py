"""The written form of an evaluation: JSON, figures and one self-contained HTML page."""
