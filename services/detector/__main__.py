"""Start the detector: `python -m services.detector`."""

from fercore.service.start import start

if __name__ == "__main__":
    start("services.detector.wiring")
