"""Run a graph without knowing what it means: backends, and the repository of model folders."""
