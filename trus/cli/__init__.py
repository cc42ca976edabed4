"""The `trus` command: composition roots that operators, admins and cashiers start by hand."""
