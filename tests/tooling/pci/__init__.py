"""PCI DSS v4.0.1 against the software: the register of requirements, and the page that is written from it."""
