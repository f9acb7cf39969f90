"""A server on the user's own machine that speaks the shapes of Workers AI.

`python -m kimi_magic.local` serves it on 127.0.0.1, behind a bearer token. One of two engines answers: *llama* (a real
model by llama.cpp) or *scripted* (deterministic and instant; its directives command every frame and fault that a client
must bear). It shares no code with the rest of kimi_magic, so that neither side can paper over a mistake of the other.
"""
