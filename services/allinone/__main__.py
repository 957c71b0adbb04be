"""Start all in one process: `python -m services.allinone`."""

from fercore.service.start import start

if __name__ == "__main__":
    start("services.allinone.wiring")
