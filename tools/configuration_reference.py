"""Print the reference of the configuration, which is the end of docs/configuration.md."""

from ekiden.config.write import write_reference
from ekiden.wiring.dialects import DIALECTS

print(write_reference(DIALECTS), end="")
