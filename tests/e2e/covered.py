"""Run an entry script and record which lines of the plugin it runs: `covered.py SITE-PACKAGES SCRIPT ...`.

Entry scripts run without site-packages (-S) and with an environment that has RD_* alone, so that coverage cannot start
by itself in them. The script finds neither site-packages nor variables of coverage.
"""

import os
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).parents[2]
    settings = {
        "COVERAGE_PROCESS_START": str(root / "pyproject.toml"),
        "COVERAGE_FILE": str(root / "build" / "coverage" / "data"),
    }
    _, packages, *sys.argv = sys.argv
    sys.path.append(packages)
    os.environ.update(settings)

    import coverage

    coverage.process_startup()
    for name in settings:
        del os.environ[name]
    sys.path.remove(packages)
    runpy.run_path(sys.argv[0], run_name="__main__")
