"""The wire languages of other services. A dialect translates, and touches neither the store nor another one."""
