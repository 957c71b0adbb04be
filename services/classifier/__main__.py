"""Start the classifier: `python -m services.classifier`."""

from fercore.service.start import start

if __name__ == "__main__":
    start("services.classifier.wiring")
