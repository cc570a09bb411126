"""The gateway: one service that unmodified SDKs can use, with users, budgets and limits.

    app         routes, middleware and the start and end of everything
    gateway     from an errand to its job and its results; every face goes through it
    doors       who is calling
    faults      errors as HTTP statuses, codes and headers
    gemini/ openai/ native/   the faces: they read requests and write answers, nothing else
    pictures/   the one way in which pictures leave

Invariant: no face makes a paid call, moves money or reads a file by itself.
"""
