"""Jobs: many questions, or one, answered later, written ahead in the store so that they outlive the kernel.

A job is a set of items; two lanes answer them (`lanes`: ordinary requests; `remote`: the service's queue) and one
thread drives all jobs of a kernel (`runner`). `keeping` is what the store holds, `standing` what a view shows.
"""
