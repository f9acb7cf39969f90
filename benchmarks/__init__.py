"""What the README says in figures: `python -m benchmarks` measures all of them, `python -m benchmarks load drain` some.

Each figure is a file with a `measure()`; its docstring says what is measured, how, and against what. Nothing here
passes or fails: the table is printed, and a limit that is missed says so.
"""
