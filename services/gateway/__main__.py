"""Start the gateway: `python -m services.gateway`."""

from fercore.service.start import start

if __name__ == "__main__":
    start("services.gateway.wiring")
