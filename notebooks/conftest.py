"""What nbval does not ask: does a notebook fit into the memory that Binder lends?"""

from pathlib import Path

import pytest

MOST_MB = 1000  # Binder lends 1 to 2 GB


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A cell after which the kernel has taken more fails."""
    yield
    status = Path(f"/proc/{item.parent.kernel.km.provisioner.pid}/status")
    if status.is_file():  # on Linux
        peak_mb = float(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
        assert peak_mb < MOST_MB, f"the kernel has taken {peak_mb:.0f} MB, more than Binder lends"
