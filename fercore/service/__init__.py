"""What makes a FastAPI service: settings, app builder, errors, logs, metrics, health, plug-ins."""
