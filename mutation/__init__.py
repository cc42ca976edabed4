"""Asks whether the tests would notice: changes one thing in what decides about money, and runs its tests.

| module | for |
|---|---|
| subjects | which files are changed, and which tests should notice |
| mutants | every small change of a file that changes what it does |
| trials | a mutant under its tests, in a process of its own |
| verdicts | mutants that no test notices and why that is right |
| page | the tables of docs/reference/mutation.md |

Changes no file: a mutant lives in the memory of the process that tries it.
"""
