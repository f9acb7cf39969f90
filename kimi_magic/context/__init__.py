"""Live objects → parts of a question: found, described, guarded, and held to what fits.

`kinds` finds the describer of an object; `tables`, `arrays`, `images`, `figures` and `objects` describe; `guard` keeps
private columns and secrets in the kernel; `template` expands `{{ expression }}`; `gathering` puts a question together.
Nothing here imports a library of the user's: objects are recognised by the modules that their classes come from.
"""
