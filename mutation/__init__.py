"""Asks whether the tests would notice: changes one thing in what decides about money, and runs its tests.

| module | for |
|---|---|
| subjects | which files are changed, and which tests should notice |
| mutants | every small change of a file that changes what it does |
| reach | which tests run which lines, learnt before the first trial |
| trials | a mutant under the tests that reach it, in a process of its own |
| running | tests within a process |
| kept | verdicts of earlier runs |
| verdicts | mutants that no test notices and why that is right |
| page | the tables of docs/reference/mutation.md |

Changes no file: a mutant lives in the memory of the process that tries it.
"""
